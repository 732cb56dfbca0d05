//! Wine: runs Windows programs here. A prefix of its own, so that a person's
//! `~/.wine` is neither used nor changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::toolchain::{Toolchain, WINE, WINE_SERVER, dll, script};
use crate::clients::run_quietly;

/// No single program of the tests runs longer. Seconds; the slowest took under
/// a minute on two cores.
const LONGEST_RUN: u32 = 900;
/// Making the prefix takes half a minute. Seconds.
const PREFIX_WITHIN: u32 = 600;
/// How long the server waits for the next program. Seconds.
const SERVER_WAITS: u32 = 120;

/// Rust's library asks this DLL for random numbers; Wine 8 does not have it.
/// The function it stands for is `SystemFunction036`, which Wine has. It is put
/// into the prefix for tests only, and never shipped.
const RANDOM_NUMBERS: &str = "\
#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T length)
{
    return SystemFunction036(bytes, (ULONG)length);
}
";

/// A prefix that is ready to run programs.
#[derive(Debug)]
pub(super) struct Wine {
    prefix: PathBuf,
    runner: PathBuf,
}

impl Wine {
    /// Makes the prefix unless it is there.
    pub(super) fn bring(toolchain: &Toolchain) -> anyhow::Result<Self> {
        let wine = Self {
            prefix: toolchain.folder.join("prefix"),
            runner: toolchain.folder.join("wine"),
        };
        if !wine.prefix.join("ready").is_file() {
            wine.make(toolchain)?;
        }
        Ok(wine)
    }

    /// A script that runs its arguments as a Windows program.
    pub(super) fn runner(&self) -> &Path {
        &self.runner
    }

    /// The program as a command of this machine.
    pub(super) fn command(&self, program: &Path) -> anyhow::Result<Command> {
        self.start_server()?;
        let mut command = Command::new(&self.runner);
        command.arg(program).stdin(Stdio::null());
        Ok(command)
    }

    /// The same without a limit of time, as a process that signals reach.
    pub(super) fn bare(&self, program: &Path) -> anyhow::Result<Command> {
        self.start_server()?;
        let mut command = Command::new(WINE);
        self.with_settings(&mut command);
        command.arg(program).stdin(Stdio::null());
        Ok(command)
    }

    fn make(&self, toolchain: &Toolchain) -> anyhow::Result<()> {
        println!("  making a Wine prefix");
        if self.prefix.exists() {
            fs::remove_dir_all(&self.prefix)?;
        }
        let limit = PREFIX_WITHIN.to_string();
        run_quietly(self.with_settings(Command::new("timeout").args([&limit, "wineboot", "-i"])))
            .context("cannot make a Wine prefix")?;
        run_quietly(self.with_settings(Command::new(WINE_SERVER).arg("-w")))?;
        let source = toolchain.folder.join("random_numbers.c");
        fs::write(&source, RANDOM_NUMBERS)?;
        let system = self.prefix.join("drive_c/windows/system32");
        dll(
            &source,
            &system.join("bcryptprimitives.dll"),
            &["-ladvapi32"],
        )
        .context("cannot build the DLL that Wine lacks")?;
        // A file called `com1` would be the machine's serial port.
        for device in fs::read_dir(self.prefix.join("dosdevices"))? {
            let device = device?;
            if device.file_name().to_string_lossy().starts_with("com") {
                fs::remove_file(device.path())?;
            }
        }
        script(
            &self.runner,
            &format!(
                "export WINEPREFIX='{}' WINEDEBUG=-all WINEDLLOVERRIDES='mscoree,mshtml='\n\
                 exec timeout {LONGEST_RUN} {WINE} \"$@\"",
                self.prefix.display()
            ),
        )?;
        fs::write(self.prefix.join("ready"), "")?;
        Ok(())
    }

    /// A server that stays, with the services of the system, unless it runs already.
    /// Else a program starts them, and they keep the program's output open for as long as
    /// they live: whoever reads that to its end would wait for them.
    fn start_server(&self) -> anyhow::Result<()> {
        let run = |command: &mut Command| {
            self.with_settings(command)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .context("cannot start Wine's server")
        };
        let status = run(Command::new(WINE_SERVER).arg(format!("-p{SERVER_WAITS}")))?;
        match status.code() {
            // A new one: the first program starts the services.
            Some(0) => run(Command::new(WINE).args(["cmd", "/c", "exit"])).map(drop),
            // One runs already.
            Some(2) => Ok(()),
            _ => anyhow::bail!("Wine's server ended with {status}"),
        }
    }

    fn with_settings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("WINEPREFIX", &self.prefix)
            .env("WINEDEBUG", "-all")
            .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
    }
}

/// A path of this machine as Wine's drive `Z:` shows it.
pub(super) fn windows_path(path: &Path) -> String {
    format!("Z:{}", path.display().to_string().replace('/', "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drive_z_is_the_root() {
        assert_eq!(windows_path(Path::new("/a/b c")), r"Z:\a\b c");
    }
}
