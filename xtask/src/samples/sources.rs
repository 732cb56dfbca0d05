//! The photos that packages carry, and who is on them.
//!
//! People are named as the packages name them: by file name or documentation;
//! the six at the table have no name there.

use std::path::PathBuf;

use crate::clients::Package;
use crate::home::Home;
use crate::setup::fetch;
use crate::step::{self, State, Wanted};

/// A face on a source photo: `left, top, right, bottom` in pixels, by our own
/// detector, rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Face {
    pub(crate) person: &'static str,
    pub(crate) bbox: [u32; 4],
}

impl Face {
    /// Middle of the box, pixels.
    pub(crate) fn centre(&self) -> [f32; 2] {
        let [left, top, right, bottom] = self.bbox.map(|v| v as f32);
        [f32::midpoint(left, right), f32::midpoint(top, bottom)]
    }

    /// Height of the box, pixels.
    pub(crate) fn height(&self) -> f32 {
        (self.bbox[3] - self.bbox[1]) as f32
    }
}

/// One photo of a package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source {
    /// Short name, also that of the file below `samples/sources/`.
    pub(crate) file: &'static str,
    package: Package,
    member: &'static str,
    sha256: &'static str,
    /// Everybody whose face can be seen.
    pub(crate) faces: &'static [Face],
}

const FACE_RECOGNITION: Package = Package::Sdist {
    name: "face_recognition",
    version: "1.3.0",
};
const INSIGHTFACE: Package = Package::Wheel {
    name: "insightface",
    version: "2.1",
    platform: "any",
};
/// Only its pictures are used, so one platform's wheel serves all.
const SCIKIT_IMAGE: Package = Package::Wheel {
    name: "scikit-image",
    version: "0.25.2",
    platform: "manylinux2014_x86_64",
};

pub(crate) const SOURCES: &[Source] = &[
    Source {
        file: "biden.jpg",
        package: FACE_RECOGNITION,
        member: "face_recognition-1.3.0/tests/test_images/biden.jpg",
        sha256: "3c17508bb91554c637a2eabddfae790e5bb1caba93130814fc2ac50be9760c4c",
        faces: &[Face {
            person: "biden",
            bbox: [434, 161, 668, 573],
        }],
    },
    Source {
        file: "obama.jpg",
        package: FACE_RECOGNITION,
        member: "face_recognition-1.3.0/tests/test_images/obama.jpg",
        sha256: "0930e3aa8cae5920329c0c8cbc6a2ab70f47b0e67b432875beaa95cbf7e741f6",
        faces: &[Face {
            person: "obama",
            bbox: [380, 80, 606, 413],
        }],
    },
    Source {
        file: "obama2.jpg",
        package: FACE_RECOGNITION,
        member: "face_recognition-1.3.0/tests/test_images/obama2.jpg",
        sha256: "a7efcc907375274796f39646510704aa86672d59f6d5469d69af3c85590976a6",
        faces: &[Face {
            person: "obama",
            bbox: [204, 240, 463, 620],
        }],
    },
    Source {
        file: "obama3.jpg",
        package: FACE_RECOGNITION,
        member: "face_recognition-1.3.0/tests/test_images/obama3.jpg",
        sha256: "76ac6bf97c36dc2da0ad16a537d6a5ac1b10f48d49aac29a0cca9a17cdbc3ca3",
        faces: &[Face {
            person: "obama",
            bbox: [646, 240, 901, 611],
        }],
    },
    Source {
        file: "astronaut.png",
        package: SCIKIT_IMAGE,
        member: "skimage/data/astronaut.png",
        sha256: "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        faces: &[Face {
            person: "astronaut",
            bbox: [182, 71, 272, 180],
        }],
    },
    Source {
        file: "table.jpg",
        package: INSIGHTFACE,
        member: "insightface/data/images/t1.jpg",
        sha256: "47f682e945b659f93a9e490b9c9c4a2a864abe64dace9e1a2893845ddfd69489",
        faces: &[
            Face {
                person: "table_1",
                bbox: [55, 271, 172, 397],
            },
            Face {
                person: "table_2",
                bbox: [267, 144, 373, 278],
            },
            Face {
                person: "table_3",
                bbox: [466, 266, 574, 406],
            },
            Face {
                person: "table_4",
                bbox: [748, 342, 844, 476],
            },
            Face {
                person: "table_5",
                bbox: [908, 59, 1006, 199],
            },
            Face {
                person: "table_6",
                bbox: [1133, 274, 1227, 394],
            },
        ],
    },
    Source {
        file: "hanks.png",
        package: INSIGHTFACE,
        member: "insightface/data/images/Tom_Hanks_54745.png",
        sha256: "8545da294e8c7c79911169c3915fed8528f1960cd0ed99b92453788ca4275083",
        faces: &[Face {
            person: "hanks",
            bbox: [8, 15, 89, 112],
        }],
    },
];

/// Where a source photo is kept.
pub(crate) fn path(home: &Home, source: &Source) -> PathBuf {
    home.samples().join("sources").join(source.file)
}

fn wanted<'a>(
    home: &'a Home,
    keep: impl Fn(&Source) -> bool + 'a,
) -> impl Iterator<Item = Wanted> + 'a {
    SOURCES.iter().filter(move |s| keep(s)).map(|s| Wanted {
        member: s.member.to_owned(),
        path: path(home, s),
        sha256: s.sha256.to_owned(),
    })
}

/// Ready when every source photo is there with its digest.
pub(crate) fn state(home: &Home) -> anyhow::Result<State> {
    step::state(&wanted(home, |_| true).collect::<Vec<_>>())
}

/// Fetches each package of which a photo is missing.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    for package in [FACE_RECOGNITION, INSIGHTFACE, SCIKIT_IMAGE] {
        let files: Vec<Wanted> = wanted(home, |s| s.package == package).collect();
        if step::state(&files)? != State::Ready {
            fetch(home, &package, &files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_unique_and_boxes_have_an_area() {
        let mut names: Vec<_> = SOURCES.iter().map(|s| s.file).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), SOURCES.len());
        for face in SOURCES.iter().flat_map(|s| s.faces) {
            let [left, top, right, bottom] = face.bbox;
            assert!(left < right && top < bottom, "{face:?}");
        }
    }
}
