//! The swap-ready tree follows the registry: who was merged or hidden moves
//! aside, who is back comes back, refused faces leave, names are in `NAME.txt`.
//!
//! Everything is decided from what is there ([`plan`]), so that a run that was
//! killed half-way is finished by the next one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use faceset_core::{ContentHash, FacesetNumber, canonical_faceset_number, person_number};
use faceset_export::{Bin, Tree};
use faceset_identity::{
    NameFile, Plan, Registry, RegistryWriter, State, name_file_in, name_files, write_name_file,
};
use serde::Serialize;

use crate::{Ctx, PipelineError};

/// Why a number is reserved whose folder a person deleted.
pub const FOLDER_DELETED: &str = "its folder was deleted";

/// One thing to do to the tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A set moves aside.
    SetAside(String, Bin),
    /// A set comes back.
    BringBack(String, Bin),
    /// Faces leave a set.
    TakeOut(String, BTreeSet<(ContentHash, [i32; 4])>),
    /// The folder of a set is gone.
    Missing(String),
    /// `NAME.txt` holds nobody's name and the registry knows one.
    Name(FacesetNumber, String),
}

impl Action {
    /// For people.
    pub fn line(&self) -> String {
        match self {
            Self::SetAside(name, bin) => format!("{name} moves to {}", bin.folder()),
            Self::BringBack(name, bin) => format!("{name} comes back from {}", bin.folder()),
            Self::TakeOut(name, faces) => format!("{} faces leave {name}", faces.len()),
            Self::Missing(name) => format!(
                "{name}: its folder was deleted; the number stays reserved, and the next export makes the set again (`people hide` keeps it away)"
            ),
            Self::Name(number, name) => {
                format!("NAME.txt of {} becomes {name}", number.folder_name())
            }
        }
    }
}

/// Decides what the tree needs to be as the registry says. Eras go where the set of their
/// person goes, but for what is thin: an era can be thin by itself.
pub fn plan(
    registry: &Registry,
    tree: &Tree,
    names: &[NameFile],
) -> Result<Vec<Action>, PipelineError> {
    let listed = tree.listed();
    let on_disk = tree.on_disk()?;
    let aside = Bin::ALL.map(|bin| (bin, tree.aside(bin)));
    let mut all: BTreeSet<&String> = listed.iter().chain(&on_disk).collect();
    all.extend(aside.iter().flat_map(|(_, names)| names));
    let mut actions = Vec::new();
    for name in all {
        let Some(number) = person_number(name) else {
            continue;
        };
        let is_era = canonical_faceset_number(name).is_none();
        let Some(identity) = registry.identity(number) else {
            continue;
        };
        let bin = match identity.state {
            State::Forgotten => continue,
            State::Merged(_) => Some(Bin::Merged),
            State::Hidden => Some(Bin::Hidden),
            State::Thin if is_era => None,
            State::Thin => Some(Bin::Thin),
            State::Active => None,
        };
        let held = aside.iter().find(|(_, names)| names.contains(name));
        if let Some(bin) = bin {
            // What was hidden and is thin changes its place.
            let moves = held.filter(|(held, _)| *held != bin);
            actions.extend(moves.map(|(held, _)| Action::BringBack(name.clone(), *held)));
            if moves.is_some() || listed.contains(name) || on_disk.contains(name) {
                actions.push(Action::SetAside(name.clone(), bin));
            }
            continue;
        }
        if let Some((bin, _)) = held {
            actions.push(Action::BringBack(name.clone(), *bin));
            continue;
        }
        if !on_disk.contains(name) {
            if !is_era {
                actions.push(Action::Missing(name.clone()));
            }
            continue;
        }
        let Some(set) = tree.set(name) else {
            continue;
        };
        let refused: BTreeSet<_> = set
            .faces
            .iter()
            .filter(|f| registry.forbids(&f.key, number))
            .map(|f| f.key.id())
            .collect();
        if !refused.is_empty() {
            actions.push(Action::TakeOut(name.clone(), refused));
        }
        let says = names.iter().find(|f| f.number == number);
        if let Some(known) = registry.name_of(number)
            && !is_era
            && says.is_some_and(|f| f.name.is_none())
        {
            actions.push(Action::Name(number, known.to_owned()));
        }
    }
    Ok(actions)
}

/// Carries the actions out, each of them whole.
pub fn apply(
    actions: &[Action],
    tree: &mut Tree,
    dir: &Path,
) -> Result<Vec<String>, PipelineError> {
    let mut lines = Vec::new();
    for action in actions {
        lines.push(action.line());
        match action {
            Action::SetAside(name, bin) => tree.set_aside(name, *bin)?,
            Action::BringBack(name, bin) => {
                if !tree.bring_back(name, *bin)? {
                    lines.push(format!(
                        "{name}: its folder is not in {} any more; the next export makes the set again",
                        bin.folder()
                    ));
                }
            }
            Action::TakeOut(name, faces) => {
                tree.take_out(name, faces)?;
            }
            Action::Missing(name) => tree.reserve(name, FOLDER_DELETED),
            Action::Name(number, name) => {
                write_name_file(&dir.join(number.folder_name()), *number, Some(name))?;
            }
        }
    }
    Ok(lines)
}

/// Names that people wrote into `NAME.txt` and the registry does not know: one
/// plan after the other, and a line for each name that can't be used. A file
/// that says what the registry says, or nothing, is no edit.
pub fn names_from_files(
    registry: &Registry,
    files: &[NameFile],
) -> (Vec<(FacesetNumber, String)>, Vec<String>) {
    let mut edits = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let Some(name) = &file.name else { continue };
        let Some(identity) = registry.identity(file.number) else {
            continue;
        };
        let is_out = matches!(identity.state, State::Merged(_) | State::Forgotten);
        if is_out || registry.name_of(file.number) == Some(name.as_str()) {
            continue;
        }
        let twice = edits
            .iter()
            .any(|(_, n): &(FacesetNumber, String)| n.to_lowercase() == name.to_lowercase());
        let problem = match registry.plan_name(file.number, Some(name)) {
            Err(error) => Some(error.to_string()),
            Ok(_) if twice => Some(format!("use {name:?} as a name: another NAME.txt has it")),
            Ok(_) => None,
        };
        match problem {
            Some(problem) => problems.push(format!(
                "NAME.txt of {} is passed over: failed to {problem}",
                file.number.folder_name()
            )),
            None => edits.push((file.number, name.clone())),
        }
    }
    (edits, problems)
}

/// A tree and its registry, locked for one change.
#[derive(Debug)]
pub struct Household {
    writer: RegistryWriter,
    tree: Tree,
    lines: Vec<String>,
}

impl Household {
    /// Locks both, takes in the names that people wrote into `NAME.txt` (each a
    /// journal entry), and brings the tree up to date. Errors: there is no such
    /// folder; somebody else holds it; registry or manifest can't be read.
    pub fn open(dir: &Path, ctx: Ctx<'_>) -> Result<Self, PipelineError> {
        if !dir.is_dir() {
            return Err(PipelineError::Options(format!(
                "{} is no folder; name the swap-ready folder with --in",
                dir.display()
            )));
        }
        let tree = Tree::open(dir, ctx.holder)?;
        let writer = RegistryWriter::open(dir, ctx.holder, crate::people::today(ctx))?;
        let mut household = Self {
            writer,
            tree,
            lines: Vec::new(),
        };
        let files = name_files(dir)?;
        let (edits, problems) = names_from_files(household.registry(), &files);
        household.lines.extend(problems);
        for (number, name) in edits {
            let mut plan = household.registry().plan_name(number, Some(&name))?;
            plan.what.push_str(", from NAME.txt");
            if let Some(id) = household.writer.apply(&plan, ctx.now)? {
                household.lines.push(format!("{} (entry {id})", plan.what));
            }
        }
        household.settle()?;
        Ok(household)
    }

    /// The registry as it is now.
    pub fn registry(&self) -> &Registry {
        self.writer.registry()
    }

    /// Carries out one plan: `NAME.txt` first, since a name that only stands
    /// there is taken in by the next run, then the registry, then the tree.
    pub fn carry_out(&mut self, plan: &Plan, ctx: Ctx<'_>) -> Result<(), PipelineError> {
        if plan.is_empty() {
            self.lines.push("nothing to change".to_owned());
            return Ok(());
        }
        let dir = self.writer.dir().to_path_buf();
        let (before, after) = (self.registry().clone(), self.registry().after(plan)?);
        for (number, place) in self.set_folders(&dir)? {
            let file = name_file_in(&place, number);
            let (old, new) = (own_name(&before, number), own_name(&after, number));
            // What is no name of ours (a line nobody could use) stays.
            let is_ours = file.name.is_none() || file.name.as_deref() == old;
            if old != new && is_ours {
                write_name_file(&place, number, new)?;
            }
        }
        let entry = self.writer.apply(plan, ctx.now)?;
        self.lines.push(match entry {
            Some(id) => format!("{} (entry {id})", plan.what),
            None => plan.what.clone(),
        });
        self.lines.extend(plan.notes.iter().cloned());
        self.settle()
    }

    /// The folders of all sets, those that were moved aside included: a name must be right
    /// in them when they come back.
    fn set_folders(&self, dir: &Path) -> Result<Vec<(FacesetNumber, PathBuf)>, PipelineError> {
        let on_disk = self.tree.on_disk()?;
        let mut folders: Vec<_> = on_disk
            .iter()
            .filter_map(|name| Some((canonical_faceset_number(name)?, dir.join(name))))
            .collect();
        for bin in Bin::ALL {
            for name in self.tree.aside(bin) {
                if let Some(number) = canonical_faceset_number(&name)
                    && let Some(folder) = self.tree.folder_aside(&name, bin)?
                {
                    folders.push((number, folder));
                }
            }
        }
        Ok(folders)
    }

    /// Brings the tree up to date with the registry.
    fn settle(&mut self) -> Result<(), PipelineError> {
        let dir = self.writer.dir().to_path_buf();
        let actions = plan(self.registry(), &self.tree, &name_files(&dir)?)?;
        self.lines.extend(apply(&actions, &mut self.tree, &dir)?);
        Ok(())
    }

    /// Writes what is left to write and returns what happened, for people.
    pub fn finish(self) -> Result<(Registry, Vec<String>), PipelineError> {
        self.tree.finish()?;
        let registry = self.writer.finish()?;
        Ok((registry, self.lines))
    }
}

/// What [`Household::open`] would do, without doing it: names that would be
/// taken in, and changes to the tree. Empty when nothing is waiting.
pub fn waiting(dir: &Path, registry: &Registry) -> Result<Vec<String>, PipelineError> {
    let files = name_files(dir)?;
    let (edits, mut lines) = names_from_files(registry, &files);
    let mut registry = registry.clone();
    for (number, name) in edits {
        lines.push(format!(
            "{} will be named {name}, from NAME.txt",
            number.folder_name()
        ));
        registry = registry.after(&registry.plan_name(number, Some(&name))?)?;
    }
    let actions = plan(&registry, &Tree::look_at(dir)?, &files)?;
    lines.extend(actions.iter().map(Action::line));
    Ok(lines)
}

/// What the `NAME.txt` of a number says: the name of the person, or, while it is merged
/// into another, its own, with which it would come back.
fn own_name(registry: &Registry, number: FacesetNumber) -> Option<&str> {
    match registry.identity(number) {
        Some(identity) if matches!(identity.state, State::Merged(_)) => identity.name.as_deref(),
        _ => registry.name_of(number),
    }
}
