//! A program that stands for a real one in the tests of `finalize`, on every system. It
//! does what its arguments say, in their order:
//!
//! `note NAME` adds a line to the file `ran`, `say TEXT` writes an error line, `report
//! TEXT` prints, `touch FILE` makes a file, `await FILE` waits for one, `exit CODE` ends,
//! `leave FILE` starts a program that holds what this one was given to write to until the
//! file is there, and then makes `left`, `join FILE PART...` writes the parts one after
//! another.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what programs of a chain do"
)]

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Duration;

fn main() -> std::io::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    while let Some(action) = arguments.next() {
        let mut next = || arguments.next().ok_or(std::io::ErrorKind::InvalidInput);
        match action.as_str() {
            "note" => {
                let mut ran = OpenOptions::new().create(true).append(true).open("ran")?;
                writeln!(ran, "{}", next()?)?;
            }
            "say" => eprintln!("{}", next()?),
            "report" => println!("{}", next()?),
            "touch" => drop(fs::File::create(next()?)?),
            "await" => {
                let file = next()?;
                while !Path::new(&file).exists() {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            "leave" => {
                let own = std::env::current_exe()?;
                Command::new(own)
                    .args(["await", &next()?, "touch", "left"])
                    .spawn()?;
            }
            "exit" => return Ok(ExitCode::from(next()?.parse::<u8>().unwrap_or(u8::MAX))),
            "join" => {
                let mut joined = fs::File::create(next()?)?;
                for part in arguments.by_ref() {
                    joined.write_all(&fs::read(part)?)?;
                }
            }
            _ => return Err(std::io::ErrorKind::InvalidInput.into()),
        }
    }
    Ok(ExitCode::SUCCESS)
}
