//! Whose faces take part: the person, the seed, and what is recovered.

use std::collections::{BTreeMap, BTreeSet};

use faceset_cache::{Cache, FaceRow};
use faceset_cluster::{Vectors, centroid};
use faceset_core::{FaceKey, FacesetNumber};
use faceset_identity::Registry;
use serde::Serialize;

use super::EraOptions;
use crate::known::{faces_of, read_top};
use crate::{Ctx, PipelineError, matching, people};

/// A person with the faces that stand for them.
pub(crate) struct Seed {
    pub(crate) registry: Registry,
    pub(crate) number: FacesetNumber,
    /// The person's name, when there is one.
    pub(crate) label: Option<String>,
    /// The curated faces that the cache holds, by content and box.
    pub(crate) faces: Vec<FaceKey>,
    /// Curated faces that the cache lacks.
    pub(crate) n_missing: usize,
    /// Their direction.
    centroid: Vec<f32>,
}

/// Faces of the cache by what became of them; each is in exactly one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Faces below the roots.
    pub considered: usize,
    /// Farther from the person than the recovery limit.
    pub far: usize,
    /// Near, and somebody else's in the registry.
    pub others: usize,
    /// Near, and a person said that they are not this one.
    pub refused: usize,
    /// Near, and dropped by a quality gate, by gate.
    pub gated: BTreeMap<String, usize>,
    /// Near and good.
    pub kept: usize,
}

/// Finds the person and the curated faces: those of the person's canonical
/// sets; without a set, those of the registry.
pub(crate) fn seed(
    cache: &Cache,
    options: &EraOptions,
    ctx: Ctx<'_>,
) -> Result<Seed, PipelineError> {
    let registry = people::load(&options.swap_ready, ctx)?;
    let identity = registry.find(&options.person)?;
    let number = registry.root(identity.number);
    if !registry.is_shown(number) {
        return Err(PipelineError::Options(format!(
            "{} is {}, and only people who are shown are split into eras",
            number.folder_name(),
            registry
                .identity(number)
                .map_or_else(String::new, |i| i.state.to_string())
        )));
    }
    let top = read_top(&options.swap_ready)?;
    let faces = faces_of(number, &registry, &top, &[cache], false)?;
    let look = matching::look(faces.dated().into_iter().map(|f| f.0), None)?;
    let Some(look) = look else {
        return Err(PipelineError::Options(format!(
            "{} has no face in {} ({} are known of them): name the cache that their set was made from",
            number.folder_name(),
            options.cache.display(),
            faces.n_missing()
        )));
    };
    if faces.n_missing() > 0 {
        ctx.progress.note(&format!(
            "{} of the faces of {} are not in the cache",
            faces.n_missing(),
            number.folder_name()
        ));
    }
    Ok(Seed {
        label: registry.name_of(number).map(str::to_owned),
        number,
        n_missing: faces.n_missing(),
        faces: faces.keys,
        centroid: look.centroid,
        registry,
    })
}

/// Rows of the cache that are the person's by distance and good by the gates,
/// ascending.
pub(crate) fn recover(
    seed: &Seed,
    cache: &Cache,
    rows: &[FaceRow<'_>],
    vectors: &Vectors<'_>,
    options: &EraOptions,
) -> Result<(Vec<u32>, Counts), PipelineError> {
    let roots = &options.roots;
    let considered: Vec<u32> = rows
        .iter()
        .filter(|r| roots.is_empty() || roots.iter().any(|root| cache.is_under(&r.file.path, root)))
        .map(|r| r.row as u32)
        .collect();
    if considered.is_empty() {
        return Err(PipelineError::Options(format!(
            "{} holds no face below {}; embed that folder into it first",
            options.cache.display(),
            roots.join(" or ")
        )));
    }
    let near: BTreeSet<u32> =
        centroid::members_within(vectors, &considered, &seed.centroid, options.recovery)?
            .into_iter()
            .collect();
    let mut counts = Counts {
        considered: considered.len(),
        far: considered.len() - near.len(),
        ..Counts::default()
    };
    let mut kept = Vec::new();
    for row in near {
        let face = &rows[row as usize];
        let key = face.key();
        let owner = seed
            .registry
            .owner(&key)
            .map(|i| seed.registry.root(i.number));
        if owner.is_some_and(|owner| owner != seed.number) {
            counts.others += 1;
        } else if seed.registry.forbids(&key, seed.number) {
            counts.refused += 1;
        } else if let Some(failure) = options.gates.check(face.face) {
            *counts
                .gated
                .entry(failure.gate.name().to_owned())
                .or_default() += 1;
        } else {
            kept.push(row);
        }
    }
    counts.kept = kept.len();
    Ok((kept, counts))
}
