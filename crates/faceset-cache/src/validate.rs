//! The checks at the door: only what the arrays can hold comes in.

use faceset_core::{Enrichment, FaceRecord, FileEntry, FileStatus, SourcePath};

use crate::CacheError;

/// How far an embedding's length may be from 1 and still count as unit. A unit
/// vector of 512 f32 is exact to about 1e-6; 1e-3 leaves room for vectors that
/// another tool rounded to half precision. Equal is accepted.
pub const UNIT_TOLERANCE: f64 = 1e-3;

/// Points of the two landmark models.
pub(crate) const N_LANDMARKS_2D: usize = 106;
pub(crate) const N_LANDMARKS_3D: usize = 68;

/// Refuses an entry that the arrays cannot hold or that would poison later
/// arithmetic.
pub(crate) fn check_entry(entry: &FileEntry, dim: u32) -> Result<(), CacheError> {
    let bad = |what: String| {
        Err(CacheError::BadRecord {
            path: entry.path.clone(),
            what,
        })
    };
    check_path(&entry.path)?;
    if [&entry.taken, &entry.source]
        .iter()
        .any(|s| s.contains('\0'))
    {
        return bad("its text fields hold a NUL character".into());
    }
    if i64::try_from(entry.size).is_err() {
        return bad(format!("its size of {} bytes is impossible", entry.size));
    }
    match &entry.status {
        FileStatus::Faces(faces) => {
            for (face_idx, face) in faces.iter().enumerate() {
                if let Err(what) = check_face(face, &entry.path, dim) {
                    return bad(format!("face {face_idx}: {what}"));
                }
            }
        }
        FileStatus::Failed(reason) if reason.contains('\0') => {
            return bad("its reason holds a NUL character".into());
        }
        FileStatus::Failed(_) => {}
    }
    Ok(())
}

/// Refuses a path that an array of unicode cannot hold: empty, or with a NUL.
pub(crate) fn check_path(path: &SourcePath) -> Result<(), CacheError> {
    if path.as_str().is_empty() || path.as_str().contains('\0') {
        return Err(CacheError::BadRecord {
            path: path.clone(),
            what: "a path is not empty and holds no NUL character".into(),
        });
    }
    Ok(())
}

fn check_face(face: &FaceRecord, path: &SourcePath, dim: u32) -> Result<(), String> {
    if face.path != *path {
        return Err(format!("it names another photo, {}", face.path));
    }
    if !face.bbox.is_finite() || !face.kps.as_flattened().iter().all(|v| v.is_finite()) {
        return Err("its box or landmarks are not finite numbers".into());
    }
    if !(0.0..=1.0).contains(&face.det_score) {
        return Err(format!(
            "its detector score {} is not 0 to 1",
            face.det_score
        ));
    }
    if !face.face_short.is_finite() || !face.blur.is_finite() {
        return Err("its size or sharpness is not a finite number".into());
    }
    if !(face.embedding_norm.is_finite() && face.embedding_norm > 0.0) {
        return Err(format!(
            "its raw embedding length {} is not a positive number",
            face.embedding_norm
        ));
    }
    check_embedding(&face.embedding, dim)?;
    match &face.enrichment {
        Some(enrichment) => check_enrichment(enrichment),
        None => Ok(()),
    }
}

/// Refuses an embedding of another length, with a non-finite number, or that is
/// not of unit length.
pub(crate) fn check_embedding(embedding: &[f32], dim: u32) -> Result<(), String> {
    if embedding.len() != dim as usize {
        return Err(format!(
            "its embedding has {} numbers, the pack's have {dim}",
            embedding.len()
        ));
    }
    let length = length(embedding);
    if !length.is_finite() {
        return Err("its embedding holds a number that is not finite".into());
    }
    if (length - 1.0).abs() > UNIT_TOLERANCE {
        return Err(format!("its embedding has length {length:.4}, expected 1"));
    }
    Ok(())
}

/// Euclidean length, summed in f64; NaN or infinite when an element is.
pub(crate) fn length(embedding: &[f32]) -> f64 {
    embedding
        .iter()
        .map(|&v| f64::from(v) * f64::from(v))
        .sum::<f64>()
        .sqrt()
}

/// Refuses landmarks of another count or with x, y that are not finite: a row
/// of NaN means "absent" on disk. A z of NaN is allowed (a 2-D model), if all
/// of them are.
pub(crate) fn check_enrichment(enrichment: &Enrichment) -> Result<(), String> {
    if let Some(points) = &enrichment.landmark_2d_106 {
        if points.len() != N_LANDMARKS_2D {
            return Err(format!("{} landmarks, expected 106", points.len()));
        }
        if !points.as_flattened().iter().all(|v| v.is_finite()) {
            return Err("its 106 landmarks are not finite numbers".into());
        }
    }
    if let Some(points) = &enrichment.landmark_3d_68 {
        if points.len() != N_LANDMARKS_3D {
            return Err(format!("{} landmarks, expected 68", points.len()));
        }
        let flat = points.iter().all(|[_, _, z]| z.is_nan());
        if !points
            .iter()
            .all(|[x, y, z]| x.is_finite() && y.is_finite() && (flat || z.is_finite()))
        {
            return Err("its 68 landmarks are not finite numbers".into());
        }
    }
    if let Some(pose) = &enrichment.pose
        && !<[f32; 3]>::from(*pose).iter().all(|v| v.is_finite())
    {
        return Err("its pose is not finite".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{enrichment, entry, faces};

    fn refusal(change: impl FnOnce(&mut FaceRecord)) -> String {
        let mut file = entry("/a.jpg", faces(1));
        check_entry(&file, 4).unwrap();
        let FileStatus::Faces(records) = &mut file.status else {
            unreachable!("made with faces")
        };
        change(&mut records[0]);
        check_entry(&file, 4).unwrap_err().to_string()
    }

    #[test]
    fn each_broken_number_is_refused_by_name() {
        assert!(refusal(|f| f.bbox.y2 = f32::NAN).contains("box"));
        assert!(refusal(|f| f.kps[4][1] = f32::INFINITY).contains("landmarks"));
        assert!(refusal(|f| f.det_score = 1.01).contains("detector score"));
        assert!(refusal(|f| f.det_score = f32::NAN).contains("detector score"));
        assert!(refusal(|f| f.blur = f32::NAN).contains("sharpness"));
        assert!(refusal(|f| f.embedding_norm = 0.0).contains("raw embedding length"));
        assert!(refusal(|f| f.embedding[0] = f32::NAN).contains("not finite"));
        assert!(refusal(|f| f.embedding.push(0.0)).contains("5 numbers"));
        assert!(refusal(|f| f.path = "/b.jpg".into()).contains("/b.jpg"));
        assert!(refusal(|f| f.embedding = vec![0.0; 4]).contains("length 0.0000"));
    }

    #[test]
    fn unit_length_is_accepted_up_to_and_including_the_tolerance() {
        // 0.999 and 1.001 are the nearest f32; the f64 length of a one-number
        // vector is exactly that f32, so take the ones just inside.
        for (length, accepted) in [
            (0.999_01, true),
            (1.000_99, true),
            (0.998_9, false),
            (1.001_1, false),
        ] {
            assert_eq!(check_embedding(&[length], 1).is_ok(), accepted, "{length}");
        }
    }

    #[test]
    fn landmarks_have_their_models_count_and_finite_x_and_y() {
        check_enrichment(&enrichment()).unwrap();
        let refuse = |change: fn(&mut Enrichment)| {
            let mut e = enrichment();
            change(&mut e);
            check_enrichment(&e).unwrap_err()
        };
        assert!(
            refuse(|e| {
                e.landmark_2d_106.as_mut().unwrap().pop();
            })
            .contains("105")
        );
        assert!(
            refuse(|e| {
                e.landmark_3d_68.as_mut().unwrap().pop();
            })
            .contains("67")
        );
        assert!(refuse(|e| e.landmark_3d_68.as_mut().unwrap()[3][2] = f32::NAN).contains("68"));
        assert!(refuse(|e| e.pose.as_mut().unwrap().yaw_deg = f32::NAN).contains("pose"));
    }

    #[test]
    fn a_two_dimensional_model_has_no_z_at_all() {
        let mut e = enrichment();
        for point in e.landmark_3d_68.as_mut().unwrap() {
            point[2] = f32::NAN;
        }
        check_enrichment(&e).unwrap();
    }

    #[test]
    fn paths_that_arrays_cannot_hold_are_refused() {
        assert!(check_path(&"".into()).is_err());
        assert!(check_path(&"/a\0".into()).is_err());
        assert!(check_path(&"/å 🙂.jpg".into()).is_ok());
    }
}
