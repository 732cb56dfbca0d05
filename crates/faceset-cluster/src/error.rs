//! What can go wrong, said so that a person can act on it.

/// Why a row can't be compared with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowProblem {
    /// It holds a NaN or an infinity.
    NotFinite,
    /// All its values are zero, so it has no direction.
    Zero,
}

impl std::fmt::Display for RowProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFinite => "a value that is not a finite number",
            Self::Zero => "only zeros",
        })
    }
}

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A row without a direction. [`crate::unusable_rows`] lists them all, for a
    /// caller that leaves them out and counts them.
    #[error("use row {row}: it holds {problem} ({n_unusable} such rows in all)")]
    UnusableRow {
        /// The first such row.
        row: usize,
        /// What is wrong with it.
        problem: RowProblem,
        /// How many rows are unusable.
        n_unusable: usize,
    },
    /// Vectors of different dimensions met.
    #[error("compare vectors of dimension {found} with vectors of dimension {expected}")]
    Dimension {
        /// Dimension of the rows already there.
        expected: usize,
        /// Dimension of what was given.
        found: usize,
    },
    /// Rows without columns.
    #[error("compare vectors of dimension 0")]
    NoDimensions,
    /// Rows with more values than supported.
    #[error("compare vectors of dimension {dim}: at most {max} are supported")]
    TooManyDimensions {
        /// What was given.
        dim: usize,
        /// The limit.
        max: usize,
    },
    /// More rows than a row number can count.
    #[error("number {n_rows} rows: at most {max} are supported")]
    TooManyRows {
        /// What was given.
        n_rows: usize,
        /// The limit.
        max: usize,
    },
    /// A list that goes with the rows has another length.
    #[error("match {found} {what} with {expected} rows")]
    Length {
        /// What the list holds.
        what: &'static str,
        /// Number of rows.
        expected: usize,
        /// Length of the list.
        found: usize,
    },
    /// A cut above the height up to which the dendrogram is known.
    #[error("cut at {height}: the dendrogram is known below {threshold} only")]
    CutTooHigh {
        /// What was asked for.
        height: f64,
        /// What the run was made with.
        threshold: f64,
    },
    /// An option outside its range.
    #[error("accept option {name}: {expected}")]
    Option {
        /// Its name.
        name: &'static str,
        /// The range, for people.
        expected: &'static str,
    },
    /// A saved run that can't be read.
    #[error("read the saved run: {reason}")]
    State {
        /// What is wrong with it, for people.
        reason: String,
    },
    /// Reading or writing a saved run failed.
    #[error("read or write the saved run")]
    StateIo {
        /// The cause.
        #[from]
        source: std::io::Error,
    },
    /// A saved run of a format that is newer than this build.
    #[error("read the saved run: it has version {found}; this build reads up to {supported}")]
    StateTooNew {
        /// Its version.
        found: u32,
        /// The newest that is known.
        supported: u32,
    },
    /// The rows to carry on with aren't those of the saved run.
    #[error("carry on the saved run: row {row} of {n_saved} is missing or has changed")]
    RowsChanged {
        /// The first row that differs.
        row: usize,
        /// Rows of the saved run.
        n_saved: usize,
    },
    /// The kernel asked for does not run on this machine or was not built.
    #[error("use kernel {kernel}: this processor, operating system or build lacks it")]
    KernelUnavailable {
        /// What was asked for.
        kernel: crate::KernelKind,
    },
    /// The caller's token was cancelled.
    #[error("finish: the run was cancelled")]
    Cancelled,
}
