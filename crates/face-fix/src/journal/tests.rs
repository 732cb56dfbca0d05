//! The journal's promises: what a kill leaves, what is refused.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::decision::{Action, Decision, PersonRef, Transaction};
use jiff::Timestamp;

const HEADER: &str = "{\"sum\":\"2406fb30\",\"line\":{\"entry\":\"header\",\"format\":\"face-fix journal\",\"version\":1}}\n";

fn transaction() -> Transaction {
    Transaction {
        decisions: vec![Decision {
            asset: "a-1".parse().unwrap(),
            checksum: Some("qZk+NkcGgWq6PiVxeFDCbJzQ2J0=".to_owned()),
            face: "f-1".parse().unwrap(),
            area: None,
            edited: false,
            original: None,
            from: None,
            action: Action::Reassign {
                to: PersonRef {
                    id: "p-2".parse().unwrap(),
                    name: "Anna".to_owned(),
                },
            },
        }],
        ..Transaction::new(Timestamp::UNIX_EPOCH, "me")
    }
}

fn decided(id: u64) -> Entry {
    Entry::Decided {
        id: TransactionId(id),
        transaction: transaction(),
    }
}

fn closed(id: u64) -> Entry {
    Entry::Closed {
        id: TransactionId(id),
        end: End::Applied,
    }
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("faces.jsonl");
    (folder, path)
}

#[test]
fn a_new_journal_starts_with_its_version_and_tells_nothing() {
    let (_folder, path) = place();
    assert_eq!(Journal::read(&path).unwrap(), Past::default());
    let journal = Journal::open(&path, "test").unwrap();
    assert_eq!(journal.past(), &Past::default());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), HEADER);
}

#[test]
fn what_was_appended_is_read_again_and_numbers_go_on() {
    let (_folder, path) = place();
    let mut journal = Journal::open(&path, "test").unwrap();
    journal.append(&[decided(1)]).unwrap();
    assert_eq!(
        journal.past().open().collect::<Vec<_>>(),
        [TransactionId(1)]
    );
    journal.append(&[closed(1)]).unwrap();
    let told = journal.past().clone();
    drop(journal);
    let journal = Journal::open(&path, "test").unwrap();
    assert_eq!(journal.past(), &told);
    assert_eq!(journal.past().open().count(), 0);
    assert_eq!(journal.past().next_id(), TransactionId(2));
    assert_eq!(told.transactions()[0].transaction, transaction());
}

#[test]
fn every_cut_of_the_file_keeps_the_whole_lines_and_can_be_written_on() {
    let (_folder, path) = place();
    let mut journal = Journal::open(&path, "test").unwrap();
    journal.append(&[decided(1), closed(1)]).unwrap();
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    let ends: Vec<usize> = (0..whole.len())
        .filter(|i| whole[*i] == b'\n')
        .map(|i| i + 1)
        .collect();
    assert_eq!(ends.len(), 3);
    for cut in 0..=whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let mut journal = Journal::open(&path, "test").unwrap();
        let n_lines = ends.iter().filter(|end| **end <= cut).count();
        let last_end = ends
            .iter()
            .copied()
            .filter(|end| *end <= cut)
            .max()
            .unwrap_or(0);
        assert_eq!(
            journal.torn_bytes(),
            (cut - last_end) as u64,
            "cut at {cut}"
        );
        assert_eq!(
            journal.past().transactions().len(),
            usize::from(n_lines >= 2),
            "cut at {cut}"
        );
        let id = journal.past().next_id();
        journal
            .append(&[Entry::Decided {
                id,
                transaction: transaction(),
            }])
            .unwrap();
        drop(journal);
        let read = Journal::read(&path).unwrap();
        assert_eq!(read.transactions().last().unwrap().id, id, "cut at {cut}");
    }
}

#[test]
fn damage_before_the_end_is_refused_with_its_line() {
    let (_folder, path) = place();
    let mut journal = Journal::open(&path, "test").unwrap();
    journal.append(&[decided(1), closed(1)]).unwrap();
    drop(journal);
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, whole.replace("Anna", "Anne")).unwrap();
    match Journal::open(&path, "test").unwrap_err() {
        Error::Damaged { line, what, .. } => {
            assert_eq!((line, what.as_str()), (2, "its checksum does not match"));
        }
        other => panic!("{other}"),
    }
    // Nothing was written over.
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        whole.replace("Anna", "Anne")
    );
}

#[test]
fn newer_versions_and_strangers_files_are_refused_and_left_alone() {
    let (_folder, path) = place();
    for (text, newer) in [
        (HEADER.replace(":1}}", ":2}}"), true),
        ("# my notes".to_owned(), false),
        ("{\"version\":1}\n".to_owned(), false),
    ] {
        std::fs::write(&path, &text).unwrap();
        match Journal::open(&path, "test").unwrap_err() {
            Error::TooNew {
                found: 2,
                supported: 1,
                ..
            } => assert!(newer),
            Error::NotOurs { .. } => assert!(!newer, "{text}"),
            other => panic!("{other}"),
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn entries_that_do_not_fit_are_damage() {
    let (_folder, path) = place();
    for entries in [
        vec![closed(1)],
        vec![decided(2), decided(2)],
        vec![decided(3), decided(1)],
    ] {
        let text: String = entries.iter().map(Entry::to_line).collect();
        std::fs::write(&path, format!("{HEADER}{text}")).unwrap();
        let error = Journal::read(&path).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}

#[test]
fn a_second_writer_is_told_of_the_first() {
    let (_folder, path) = place();
    let _first = Journal::open(&path, "first, process 1").unwrap();
    let error = Journal::open(&path, "second").unwrap_err();
    assert!(error.to_string().contains("first, process 1"), "{error}");
    assert!(Journal::read(&path).is_ok());
}

#[test]
fn the_frozen_journal_of_version_1_reads_as_it_did() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/face-fix/v1.journal.jsonl");
    let past = Journal::read(&path).unwrap();
    let standing: Vec<Standing> = past
        .transactions()
        .iter()
        .map(PastTransaction::standing)
        .collect();
    assert_eq!(
        standing,
        [
            Standing::Applied,
            Standing::Undone,
            Standing::Stopped,
            Standing::Open
        ]
    );
    assert_eq!(past.user().unwrap().as_str(), "4b2f9f6e-user");
    let undone = &past.transactions()[1];
    assert_eq!(undone.created.len(), 1);
    assert_eq!(
        undone.undo.as_ref().unwrap().people[0].1,
        PersonRemoved::Deleted
    );
    let first = &past.transactions()[0].transaction.decisions[0];
    assert_eq!(
        first.area.unwrap().scaled_to(200.0, 100.0),
        [20.0, 20.0, 60.0, 70.0]
    );
}
