//! What the sample library holds: a plan, made from nothing but the sources'
//! sizes and faces.

use std::collections::BTreeMap;

use anyhow::Context as _;
use image::RgbImage;

use super::draw::Motif;
use super::light::Light;
use super::rng::Rng;
use super::shot::{Portrait, Shot};
use super::sources::Face;

/// Version of the recipe. A library of another version is made anew: raise it
/// with every change that changes a picture, a name or the truth.
pub(crate) const VERSION: u32 = 1;

/// A source as the recipe sees it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// File name of the source.
    pub(crate) file: &'static str,
    /// Width and height in pixels.
    pub(crate) size: [u32; 2],
    /// Who is on it, and where.
    pub(crate) faces: &'static [Face],
}

/// A photo of a source, before it is encoded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct View {
    /// File name of the source.
    pub(crate) source: &'static str,
    pub(crate) shot: Shot,
    pub(crate) light: Light,
}

impl View {
    /// Takes the shot and develops it.
    pub(crate) fn render(&self, source: &RgbImage) -> RgbImage {
        self.light.develop(&self.shot.take(source))
    }
}

/// What a file shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// A photo of a source.
    Photo(View),
    /// Prints of several photos on a drawn wall.
    Wall { prints: Vec<View>, seed: u64 },
    /// A drawing without a face.
    Drawing {
        motif: Motif,
        size: [u32; 2],
        seed: u64,
    },
    /// The bytes of another file.
    Copy { of: String },
    /// Another file's picture, resized and encoded again.
    Again { of: String, width: u32 },
    /// The first third of another file.
    Truncated { of: String },
    /// Words instead of a picture.
    Text,
}

/// How the picture is written. Ignored where bytes are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// JPEG with the date taken; pixels are stored so that readers must turn
    /// them as the orientation says.
    Jpeg { quality: u8, orientation: u16 },
    /// PNG, whatever the name says.
    Png,
}

/// One file of the library.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Path below the library, forward slashes.
    pub(crate) path: String,
    pub(crate) content: Content,
    pub(crate) encoding: Encoding,
    /// `YYYY:MM:DD HH:MM:SS`.
    pub(crate) taken: String,
    /// Who is on it, sorted; `None` when it is no picture.
    pub(crate) people: Option<Vec<&'static str>>,
}

/// A folder of the library.
struct Event {
    folder: &'static str,
    /// Day in EXIF's spelling.
    day: &'static str,
}

const EVENTS: [Event; 8] = [
    Event {
        folder: "2018/2018-05-12 Spring walk",
        day: "2018:05:12",
    },
    Event {
        folder: "2018/2018-12-24 Christmas",
        day: "2018:12:24",
    },
    Event {
        folder: "2019/2019-07-20 Garden party",
        day: "2019:07:20",
    },
    Event {
        folder: "2020/2020-02-29",
        day: "2020:02:29",
    },
    Event {
        folder: "2021/2021-08-07 Überlingen am See",
        day: "2021:08:07",
    },
    Event {
        folder: "2022/2022-06-18 Jubilee/from Kim",
        day: "2022:06:18",
    },
    Event {
        folder: "2023/2023-09-30 Office",
        day: "2023:09:30",
    },
    Event {
        folder: "2024/2024-03-16 Phone",
        day: "2024:03:16",
    },
];

/// Portraits per source and position of the face on it.
const PORTRAITS: [(&str, usize, usize); 11] = [
    ("obama.jpg", 0, 9),
    ("obama2.jpg", 0, 9),
    ("obama3.jpg", 0, 9),
    ("biden.jpg", 0, 21),
    ("astronaut.png", 0, 21),
    ("table.jpg", 0, 3),
    ("table.jpg", 1, 3),
    ("table.jpg", 2, 4),
    ("table.jpg", 3, 3),
    ("table.jpg", 4, 3),
    ("table.jpg", 5, 3),
];
/// Photos of nearly a whole source: everybody at the table, and a thumbnail.
const WHOLES: [(&str, usize); 2] = [("table.jpg", 6), ("hanks.png", 2)];
/// Sources whose prints hang together, and the position of the face on each.
const WALLS: [&[(&str, usize)]; 8] = [
    &[("obama.jpg", 0), ("biden.jpg", 0)],
    &[("astronaut.png", 0), ("obama3.jpg", 0)],
    &[("biden.jpg", 0), ("astronaut.png", 0)],
    &[("obama2.jpg", 0), ("biden.jpg", 0), ("astronaut.png", 0)],
    &[("table.jpg", 2), ("biden.jpg", 0)],
    &[("astronaut.png", 0), ("table.jpg", 5)],
    &[("obama3.jpg", 0), ("table.jpg", 0), ("biden.jpg", 0)],
    &[("biden.jpg", 0), ("obama2.jpg", 0)],
];
const DRAWINGS: usize = 6;
const COPIES: usize = 5;
const AGAIN: usize = 6;

/// Collects entries and gives each its name, date and encoding.
struct Planner {
    rng: Rng,
    entries: Vec<Entry>,
}

impl Planner {
    fn add(&mut self, content: Content, mut people: Vec<&'static str>) {
        people.sort_unstable();
        let number = self.entries.len();
        let event = &EVENTS[self.rng.below(EVENTS.len())];
        let orientation = if self.rng.one_in(7) {
            self.rng.pick(&[6, 8, 3])
        } else {
            1
        };
        let jpeg = Encoding::Jpeg {
            quality: 60 + self.rng.below(36) as u8,
            orientation,
        };
        let (encoding, extension) = if self.rng.one_in(20) {
            (Encoding::Png, "png")
        } else {
            (jpeg, self.rng.pick(&["jpg", "jpg", "jpg", "JPG", "jpeg"]))
        };
        self.entries.push(Entry {
            path: format!("{}/IMG_{:04}.{extension}", event.folder, 1000 + number * 7),
            content,
            encoding,
            taken: taken(event, number),
            people: Some(people),
        });
    }

    /// The paths of `n` JPEG photos, spread over what there is.
    fn some_photos(&self, n: usize, offset: usize) -> Vec<(String, Option<Vec<&'static str>>)> {
        let photos: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|e| {
                matches!(e.content, Content::Photo(_))
                    && matches!(e.encoding, Encoding::Jpeg { .. })
            })
            .collect();
        (0..n)
            .map(|i| photos[(offset + i * photos.len() / n) % photos.len()])
            .map(|e| (e.path.clone(), e.people.clone()))
            .collect()
    }

    fn add_named(
        &mut self,
        event: usize,
        name: &str,
        content: Content,
        encoding: Encoding,
        people: Option<Vec<&'static str>>,
    ) {
        let event = &EVENTS[event % EVENTS.len()];
        let taken = taken(event, self.entries.len());
        self.entries.push(Entry {
            path: format!("{}/{name}", event.folder),
            content,
            encoding,
            taken,
            people,
        });
    }
}

fn taken(event: &Event, number: usize) -> String {
    let (hour, minute, second) = (9 + number % 12, number * 7 % 60, number * 13 % 60);
    format!("{} {hour:02}:{minute:02}:{second:02}", event.day)
}

/// Plans the library. Every source of the recipe must be among `subjects`.
pub(crate) fn plan(subjects: &[Subject]) -> anyhow::Result<Vec<Entry>> {
    let by_file: BTreeMap<&str, &Subject> = subjects.iter().map(|s| (s.file, s)).collect();
    let subject = |file: &str| {
        by_file
            .get(file)
            .copied()
            .with_context(|| format!("the recipe needs {file}"))
    };
    let mut planner = Planner {
        rng: Rng::new(VERSION.into(), "names"),
        entries: Vec::new(),
    };
    for (file, face, count) in PORTRAITS {
        let mut rng = Rng::new(VERSION.into(), &format!("{file} {face}"));
        for _ in 0..count {
            let (view, people) = portrait(subject(file)?, face, Portrait::SINGLE, &mut rng)?;
            planner.add(Content::Photo(view), people);
        }
    }
    for (file, count) in WHOLES {
        let mut rng = Rng::new(VERSION.into(), file);
        for _ in 0..count {
            let (view, people) = whole(subject(file)?, &mut rng)?;
            planner.add(Content::Photo(view), people);
        }
    }
    let mut rng = Rng::new(VERSION.into(), "walls");
    for wall in WALLS {
        let mut prints = Vec::new();
        let mut people = Vec::new();
        for (file, face) in wall {
            let (view, on_print) = portrait(subject(file)?, *face, Portrait::PRINT, &mut rng)?;
            prints.push(view);
            people.extend(on_print);
        }
        let seed = rng.below(1 << 30) as u64;
        planner.add(Content::Wall { prints, seed }, people);
    }
    for i in 0..DRAWINGS {
        let drawing = Content::Drawing {
            motif: Motif::ALL[i % Motif::ALL.len()],
            size: rng.pick(&[[1280, 853], [960, 1280], [1024, 1024]]),
            seed: i as u64,
        };
        planner.add(drawing, Vec::new());
    }
    oddities(&mut planner);
    planner.entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(planner.entries)
}

/// What every real library has: copies, damaged files, wrong names.
fn oddities(planner: &mut Planner) {
    let jpeg = |quality| Encoding::Jpeg {
        quality,
        orientation: 1,
    };
    for (i, (of, people)) in planner.some_photos(COPIES, 2).into_iter().enumerate() {
        let name = format!("Copy of {i} (1).jpg");
        planner.add_named(i + 3, &name, Content::Copy { of }, jpeg(90), people);
    }
    for (i, (of, people)) in planner.some_photos(AGAIN, 5).into_iter().enumerate() {
        let name = format!("sent-{:03}.jpg", i * 17);
        let again = Content::Again {
            of,
            width: 560 + 90 * i as u32,
        };
        planner.add_named(i + 1, &name, again, jpeg(70), people);
    }
    for (of, people) in planner.some_photos(1, 11) {
        let again = Content::Again { of, width: 900 };
        planner.add_named(6, "screenshot.jpg", again, Encoding::Png, people);
    }
    for (of, _) in planner.some_photos(1, 17) {
        let truncated = Content::Truncated { of };
        planner.add_named(2, "IMG_0042.jpg", truncated, jpeg(90), None);
    }
    planner.add_named(5, "notes.jpg", Content::Text, jpeg(90), None);
}

/// A photo of nearly the whole source.
fn whole(subject: &Subject, rng: &mut Rng) -> anyhow::Result<(View, Vec<&'static str>)> {
    let shot = Shot::whole(subject.size, subject.faces, rng)
        .with_context(|| format!("{} has no room for a whole photo", subject.file))?;
    let [width, height] = shot.size.map(|v| v as f32);
    let mut light = Light::random([width / 2.0, height / 2.0, height], shot.scale, rng);
    // Over a whole picture a strong lamp would hide the people far from it.
    light.slope = light.slope.map(|s| s * 0.4);
    let view = View {
        source: subject.file,
        shot,
        light,
    };
    Ok((view, subject.faces.iter().map(|f| f.person).collect()))
}

/// A portrait of one face and everybody on it.
fn portrait(
    subject: &Subject,
    face: usize,
    wish: Portrait,
    rng: &mut Rng,
) -> anyhow::Result<(View, Vec<&'static str>)> {
    let shot = Shot::portrait(subject.size, subject.faces, face, wish, rng).with_context(|| {
        format!(
            "{} has no room for a photo of {}",
            subject.file, subject.faces[face].person
        )
    })?;
    let people = shot
        .present(subject.faces)
        .expect("a portrait cuts no face")
        .into_iter()
        .map(|i| subject.faces[i].person)
        .collect();
    let face = &subject.faces[face];
    let [x, y] = shot.to_shot(face.centre());
    let light = Light::random([x, y, face.height() * shot.scale], shot.scale, rng);
    let view = View {
        source: subject.file,
        shot,
        light,
    };
    Ok((view, people))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::sources::SOURCES;
    use super::*;

    /// The sources' sizes, as in their packages.
    fn subjects() -> Vec<Subject> {
        let sizes = BTreeMap::from([
            ("biden.jpg", [970, 2204]),
            ("obama.jpg", [910, 1137]),
            ("obama2.jpg", [626, 1200]),
            ("obama3.jpg", [1434, 2333]),
            ("astronaut.png", [512, 512]),
            ("table.jpg", [1280, 886]),
            ("hanks.png", [112, 112]),
        ]);
        SOURCES
            .iter()
            .map(|s| Subject {
                file: s.file,
                size: sizes[s.file],
                faces: s.faces,
            })
            .collect()
    }

    #[test]
    fn the_plan_is_the_same_each_time() {
        assert_eq!(plan(&subjects()).unwrap(), plan(&subjects()).unwrap());
    }

    #[test]
    fn paths_are_unique_and_copies_name_a_file() {
        let entries = plan(&subjects()).unwrap();
        let paths: BTreeSet<_> = entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths.len(), entries.len());
        for entry in &entries {
            if let Content::Copy { of } | Content::Again { of, .. } | Content::Truncated { of } =
                &entry.content
            {
                assert!(paths.contains(of.as_str()), "{of}");
            }
        }
    }

    #[test]
    fn three_people_have_enough_distinct_photos_for_a_set() {
        let entries = plan(&subjects()).unwrap();
        let mut distinct: BTreeMap<&str, usize> = BTreeMap::new();
        for entry in entries
            .iter()
            .filter(|e| matches!(e.content, Content::Photo(_)))
        {
            for person in entry.people.iter().flatten() {
                *distinct.entry(person).or_default() += 1;
            }
        }
        assert!(
            distinct.values().filter(|n| **n >= 16).count() >= 3,
            "{distinct:?}"
        );
    }

    #[test]
    fn views_repeat_to_the_pixel_on_a_drawn_picture() {
        let picture = Motif::Tiles.draw([512, 512], 1);
        let faces: &[Face] = &[Face {
            person: "drawn",
            bbox: [182, 71, 272, 180],
        }];
        let subject = Subject {
            file: "drawn",
            size: [512, 512],
            faces,
        };
        let render = |seed| {
            let mut rng = Rng::new(seed, "view");
            let (view, people) = portrait(&subject, 0, Portrait::SINGLE, &mut rng).unwrap();
            assert_eq!(people, ["drawn"]);
            view.render(&picture)
        };
        assert_eq!(render(4), render(4));
        assert_ne!(render(4), render(5));
    }
}
