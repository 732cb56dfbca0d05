//! The lines of the journal: what each says, and how it is checked.

use std::fmt;
use std::str::FromStr;

use immich_client::{PersonId, UserId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::decision::{Pair, Transaction};

/// Version of the journal's format.
pub const JOURNAL_VERSION: u32 = 1;

/// What the first line calls the file.
pub(super) const JOURNAL_NAME: &str = "face-fix journal";

/// Number of a transaction within its journal, from 1, in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TransactionId(pub u64);

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for TransactionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim_start_matches('#').parse().map(Self)
    }
}

/// Why a new person was needed. Within a transaction, each is created once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPersonFor {
    /// The group of [`crate::Action::CreatePerson`].
    Group(u32),
    /// The face at this position, taken from everybody.
    Unassigned(usize),
    /// Setting the face at this position back to nobody: the person is deleted at
    /// once, which frees the face.
    Nobody(usize),
}

/// How one decision ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Settled {
    /// Sent, and read back as it should be.
    Moved {
        /// Who has the face now.
        to: PersonId,
        /// Whether the giver's feature photo was this face.
        feature: Feature,
    },
    /// The face was there already; nothing was sent, and undo leaves it there.
    AlreadyThere {
        /// Who has the face.
        to: PersonId,
    },
    /// Judged right; nothing to send.
    Kept,
    /// The photo or the face is no more, or not the user's.
    Gone,
}

/// Whether a face that left a person was that person's feature face. The server does
/// not say which face that is; but it changes the person's record when it has to
/// choose another, and only then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// It was not.
    Untouched,
    /// It was: undo puts it back. Rarely this is said of a face that was not, when the
    /// server finished the picture of an earlier choice at that very moment.
    Lost,
    /// The key may not read people, or the server gives no times.
    Unknown,
}

/// How undoing one decision ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Restored {
    /// Moved back and read back.
    Back,
    /// It was back already, or had never left.
    NothingToDo,
    /// Somebody gave it to another person since; it stays there.
    MovedSince {
        /// Who has it; `None` for nobody.
        now: Option<PersonId>,
    },
    /// The photo or the face is no more.
    Gone,
    /// Whom it came from is no more.
    GiverGone,
    /// The server refused it.
    Refused {
        /// Why.
        why: String,
    },
}

impl Restored {
    /// True when the face is where it was before the decision.
    pub fn is_back(&self) -> bool {
        matches!(self, Self::Back | Self::NothingToDo)
    }
}

/// What undo did about a feature photo that was lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum FeatureRestored {
    /// Set to the photo of the face again. Where that photo has several faces of the
    /// person, the server chooses among them.
    Set,
    /// The key lacks this permission: choose the photo by hand in Immich.
    NotAllowed {
        /// As the server names it.
        permission: String,
    },
    /// It cannot be known whether it was lost.
    Unknown,
    /// The server refused it.
    Refused {
        /// Why.
        why: String,
    },
}

/// What undo did about a person that the tool had made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum PersonRemoved {
    /// Was empty and is deleted.
    Deleted,
    /// Was deleted already.
    GoneAlready,
    /// Has faces, or another name than the tool gave: it stays.
    InUse {
        /// What was found.
        why: String,
    },
    /// The key lacks a permission: the empty person stays.
    NotAllowed {
        /// As the server names it.
        permission: String,
    },
    /// The server refused it.
    Refused {
        /// Why.
        why: String,
    },
}

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum End {
    /// Every decision is settled.
    Applied,
    /// Stopped before its end: what follows was not sent.
    Stopped {
        /// Position of the decision that did not go through.
        at_decision: usize,
        /// Why.
        why: String,
    },
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
pub enum Entry {
    /// The first line.
    Header {
        /// Always "face-fix journal".
        format: String,
        /// [`JOURNAL_VERSION`] of the writer.
        version: u32,
    },
    /// Whose library this is about; written when an engine starts, if it changed.
    Session {
        /// The server's address.
        server: String,
        /// The key's user, if it may read that.
        user: Option<UserId>,
    },
    /// A transaction, before anything of it is sent.
    Decided {
        /// Its number.
        id: TransactionId,
        /// What was decided.
        #[serde(flatten)]
        transaction: Transaction,
    },
    /// A person is about to be made.
    Creating {
        /// The transaction.
        id: TransactionId,
        /// What for.
        new: NewPersonFor,
    },
    /// A person was made.
    Created {
        /// The transaction.
        id: TransactionId,
        /// What for.
        new: NewPersonFor,
        /// Their id.
        person: PersonId,
    },
    /// A face is about to be given to a person.
    Sending {
        /// The transaction.
        id: TransactionId,
        /// Position of the decision.
        decision: usize,
        /// To whom.
        to: PersonId,
        /// When the giver's record last changed, before.
        from_changed: Option<Timestamp>,
    },
    /// A decision is through.
    Settled {
        /// The transaction.
        id: TransactionId,
        /// Position of the decision.
        decision: usize,
        /// How.
        how: Settled,
    },
    /// A transaction is through.
    Closed {
        /// The transaction.
        id: TransactionId,
        /// How.
        end: End,
    },
    /// A transaction is to be undone, before anything of that is sent.
    Undoing {
        /// The transaction.
        id: TransactionId,
        /// When.
        at: Timestamp,
        /// Who wants it.
        who: String,
    },
    /// A decision's undoing is through.
    Restored {
        /// The transaction.
        id: TransactionId,
        /// Position of the decision.
        decision: usize,
        /// How.
        how: Restored,
    },
    /// A feature photo's undoing is through.
    FeatureRestored {
        /// The transaction.
        id: TransactionId,
        /// Position of the decision that lost it.
        decision: usize,
        /// Whose.
        person: PersonId,
        /// How.
        how: FeatureRestored,
    },
    /// A made person's undoing is through.
    PersonRemoved {
        /// The transaction.
        id: TransactionId,
        /// Who.
        person: PersonId,
        /// How.
        how: PersonRemoved,
    },
    /// Undoing is through.
    Undone {
        /// The transaction.
        id: TransactionId,
    },
    /// The reviewed photos of a pair are to be shown again; decisions stay.
    Reset {
        /// The pair.
        pair: Pair,
        /// When.
        at: Timestamp,
        /// Who wants it.
        who: String,
    },
}

#[derive(Deserialize)]
struct CheckedLine<'a> {
    sum: &'a str,
    #[serde(borrow)]
    line: &'a RawValue,
}

impl Entry {
    /// The entry's line with its checksum and line end:
    /// `{"sum":"<CRC-32 of the bytes of line, 8 hexadecimal digits>","line":{...}}`.
    pub(super) fn to_line(&self) -> String {
        let text = serde_json::to_string(self).expect("our own types serialise");
        format!(
            "{{\"sum\":\"{:08x}\",\"line\":{text}}}\n",
            crc32fast::hash(text.as_bytes())
        )
    }

    /// Reads a line without its end, checking the sum.
    pub(super) fn from_line(bytes: &[u8]) -> Result<Self, LineProblem> {
        let text = std::str::from_utf8(bytes).map_err(|_| LineProblem::NotJson)?;
        let checked: CheckedLine<'_> =
            serde_json::from_str(text).map_err(|_| LineProblem::NotJson)?;
        let found = format!("{:08x}", crc32fast::hash(checked.line.get().as_bytes()));
        if found != checked.sum {
            return Err(LineProblem::Checksum);
        }
        serde_json::from_str(checked.line.get()).map_err(|e| LineProblem::Unknown(e.to_string()))
    }
}

/// Why a line cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LineProblem {
    NotJson,
    Checksum,
    /// The sum is right, so a writer of ours meant it.
    Unknown(String),
}

impl fmt::Display for LineProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson => f.write_str("not a checked line of JSON"),
            Self::Checksum => f.write_str("its checksum does not match"),
            Self::Unknown(what) => write!(f, "not an entry that this build knows ({what})"),
        }
    }
}
