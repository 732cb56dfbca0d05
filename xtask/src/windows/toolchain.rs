//! A compiler for Windows, out of ordinary packages: Debian's rustc with its
//! library sources, unpacked into a folder of ours and never installed, and the
//! mingw C compiler. rustup's own toolchains stay as they are.
//!
//! Why not rustup's: its `x86_64-pc-windows-gnu` target is another download from
//! another place, which a machine behind a package mirror may not reach. Where it
//! is reachable, `rustup target add` and plain cargo do the same.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Lack;
use crate::apt::{self, on_path};
use crate::clients::run_quietly;
use crate::home::Home;

/// What is built for.
pub(super) const TARGET: &str = "x86_64-pc-windows-gnu";
/// Threads by POSIX: the flavour that Rust's own library is linked with.
const C_COMPILER: &str = "x86_64-w64-mingw32-gcc-posix";
const CPP_COMPILER: &str = "x86_64-w64-mingw32-g++-posix";
/// Debian's compiler that follows the browsers' needs, and is therefore new
/// enough on a stable release.
const COMPILER_PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];
/// What apt installs when it is missing.
const INSTALLED_PACKAGES: [&str; 4] = [
    "gcc-mingw-w64-x86-64-posix",
    "g++-mingw-w64-x86-64-posix",
    "wine64",
    "wine",
];
/// Where Debian puts Wine's 64-bit loader and its server.
pub(super) const WINE: &str = "/usr/lib/wine/wine64";
pub(super) const WINE_SERVER: &str = "/usr/lib/wine/wineserver64";

/// A compiler that builds for [`TARGET`].
#[derive(Debug)]
pub(super) struct Toolchain {
    /// Everything of this stage lives here; one folder for each version of the
    /// compiler.
    pub(super) folder: PathBuf,
}

impl Toolchain {
    /// The compiler of this machine's package source; what is missing is
    /// fetched, unpacked and built.
    ///
    /// # Errors
    /// [`Lack::Unavailable`] when a package can't be had here, which says nothing
    /// about this workspace; [`Lack::Broken`] for everything else.
    pub(super) fn bring(home: &Home) -> Result<Self, Lack> {
        if !on_path("apt-get") || !on_path("dpkg") {
            return Err(Lack::Unavailable(
                "apt-get is not here: the stage gets its compiler and Wine from Debian's packages"
                    .to_owned(),
            ));
        }
        // A stale list of packages names versions that are gone.
        let updated = apt::update();
        let version = candidate(COMPILER_PACKAGES[0])
            .map_err(Lack::Broken)?
            .ok_or_else(|| {
                let why = match updated {
                    Err(error) => format!(" ({error})"),
                    Ok(()) => String::new(),
                };
                Lack::Unavailable(format!("apt has no package {}{why}", COMPILER_PACKAGES[0]))
            })?;
        let folder = home.root.join("windows").join(version);
        let toolchain = Self { folder };
        Self::install_c_compiler_and_wine()?;
        if !toolchain.is_ready() {
            toolchain.unpack()?;
            toolchain.build_library().map_err(Lack::Broken)?;
            fs::write(toolchain.ready_mark(), "").map_err(|e| Lack::Broken(e.into()))?;
        }
        Ok(toolchain)
    }

    /// Settings with which cargo builds for Windows and runs by `runner`.
    pub(super) fn settings(&self, runner: &Path) -> Vec<(String, PathBuf)> {
        let upper = TARGET.to_uppercase().replace('-', "_");
        let lower = TARGET.replace('-', "_");
        vec![
            ("RUSTC".to_owned(), self.wrapper("rustc")),
            ("RUSTDOC".to_owned(), self.wrapper("rustdoc")),
            (format!("CARGO_TARGET_{upper}_LINKER"), C_COMPILER.into()),
            (format!("CARGO_TARGET_{upper}_RUNNER"), runner.to_owned()),
            (format!("CC_{lower}"), C_COMPILER.into()),
            (format!("CXX_{lower}"), CPP_COMPILER.into()),
        ]
    }

    fn is_ready(&self) -> bool {
        self.ready_mark().is_file()
    }

    fn ready_mark(&self) -> PathBuf {
        self.folder.join("compiler-ready")
    }

    fn unpacked(&self) -> PathBuf {
        self.folder.join("root/usr")
    }

    fn wrapper(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    fn install_c_compiler_and_wine() -> Result<(), Lack> {
        if on_path(C_COMPILER) && on_path(CPP_COMPILER) && Path::new(WINE).is_file() {
            return Ok(());
        }
        println!("  installing {} by apt", INSTALLED_PACKAGES.join(", "));
        apt::install(&INSTALLED_PACKAGES).map_err(|error| {
            Lack::Unavailable(format!(
                "cannot install {} (by hand: `apt-get install {}` as root): {error:#}",
                INSTALLED_PACKAGES.join(", "),
                INSTALLED_PACKAGES.join(" "),
            ))
        })
    }

    /// Downloads the compiler's packages and unpacks them beside everything else.
    fn unpack(&self) -> Result<(), Lack> {
        let broken = |e: std::io::Error| Lack::Broken(e.into());
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).map_err(broken)?;
        }
        let packages = self.folder.join("packages");
        fs::create_dir_all(&packages).map_err(broken)?;
        println!("  fetching {} by apt", COMPILER_PACKAGES.join(", "));
        let needed = packages_needed().map_err(Lack::Broken)?;
        run_quietly(
            Command::new("apt-get")
                .current_dir(&packages)
                .args(["download", "-qq"])
                .args(&needed),
        )
        .map_err(|error| Lack::Unavailable(format!("cannot fetch the compiler: {error:#}")))?;
        let root = self.folder.join("root");
        for package in fs::read_dir(&packages).map_err(broken)? {
            let package = package.map_err(broken)?.path();
            run_quietly(Command::new("dpkg").arg("-x").arg(&package).arg(&root))
                .map_err(Lack::Broken)?;
        }
        fs::remove_dir_all(&packages).map_err(broken)?;
        for program in ["rustc", "rustdoc"] {
            script(
                &self.wrapper(program),
                &format!(
                    "LD_LIBRARY_PATH='{0}/lib/x86_64-linux-gnu' exec '{0}/bin/{program}' \"$@\"",
                    self.unpacked().display()
                ),
            )
            .map_err(Lack::Broken)?;
        }
        Ok(())
    }

    /// Builds Rust's own library for [`TARGET`] from the sources of the same
    /// version, and puts it where the compiler looks.
    fn build_library(&self) -> anyhow::Result<()> {
        println!("  building Rust's library for {TARGET}");
        let package = self.folder.join("empty");
        fs::create_dir_all(package.join("src"))?;
        fs::write(
            package.join("Cargo.toml"),
            "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[workspace]\n",
        )?;
        fs::write(package.join("src/main.rs"), "fn main() {}\n")?;
        let built = self.folder.join("library");
        let mut command = Command::new(super::cargo_program());
        for (name, value) in self.settings(Path::new("true")) {
            command.env(name, value);
        }
        // -Z flags need leave; only the library is built with it, never this
        // workspace.
        run_quietly(
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_DIR", &built)
                .current_dir(&package)
                .args(["build", "--release", "--target", TARGET])
                .arg("-Zbuild-std=std,panic_unwind,panic_abort,proc_macro,test"),
        )
        .context("cannot build Rust's library")?;
        let rlibs = built.join(TARGET).join("release/deps");
        let place = self.unpacked().join("lib/rustlib").join(TARGET).join("lib");
        fs::create_dir_all(&place)?;
        for file in fs::read_dir(rlibs)? {
            let file = file?.path();
            if file.extension().is_some_and(|e| e == "rlib") {
                let name = file.file_name().context("a listed file has a name")?;
                fs::copy(&file, place.join(name))?;
            }
        }
        fs::remove_dir_all(built)?;
        fs::remove_dir_all(package)?;
        Ok(())
    }
}

/// Compiles a C file to a DLL.
pub(super) fn dll(source: &Path, to: &Path, libraries: &[&str]) -> anyhow::Result<()> {
    run_quietly(
        Command::new(C_COMPILER)
            .args(["-shared", "-Os", "-s", "-o"])
            .arg(to)
            .arg(source)
            .args(libraries),
    )
}

/// Writes an executable script. By bash: Debian's sh drops variables such as
/// `CARGO_BIN_EXE_sort-faces`, whose names are none for a shell.
pub(super) fn script(path: &Path, line: &str) -> anyhow::Result<()> {
    fs::write(path, format!("#!/bin/bash\n{line}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// The version that apt would install; `None` when it knows no such package.
fn candidate(package: &str) -> anyhow::Result<Option<String>> {
    let output = Command::new("apt-cache")
        .args(["policy", package])
        .output()
        .context("cannot run apt-cache")?;
    Ok(candidate_in(&String::from_utf8_lossy(&output.stdout)))
}

fn candidate_in(policy: &str) -> Option<String> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "))
        .filter(|version| *version != "(none)")
        .map(str::to_owned)
}

/// The compiler's packages with those they need and this machine lacks.
fn packages_needed() -> anyhow::Result<Vec<String>> {
    let output = Command::new("apt-get")
        .args(["install", "-s", "--no-install-recommends"])
        .args(COMPILER_PACKAGES)
        .output()
        .context("cannot run apt-get")?;
    let mut needed = installs_in(&String::from_utf8_lossy(&output.stdout));
    // Installed already, the package would not be listed: its files are needed
    // here all the same.
    for package in COMPILER_PACKAGES {
        if !needed.iter().any(|n| n == package) {
            needed.push(package.to_owned());
        }
    }
    Ok(needed)
}

/// Package names in the lines of a simulated installation.
fn installs_in(simulation: &str) -> Vec<String> {
    simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "))
        .filter_map(|rest| rest.split_whitespace().next())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_from_the_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+x\n  Version table:\n";
        assert_eq!(candidate_in(policy).as_deref(), Some("1.96.0+x"));
        assert_eq!(candidate_in("x:\n  Candidate: (none)\n"), None);
        assert_eq!(candidate_in(""), None);
    }

    #[test]
    fn packages_to_install_are_read_from_the_simulation() {
        let simulation = "Reading...\nInst libstd-web (1.96 Debian [amd64])\nConf libstd-web\n\
                          Inst rustc-web (1.96)\n";
        assert_eq!(installs_in(simulation), ["libstd-web", "rustc-web"]);
    }

    #[test]
    fn settings_name_the_target_in_both_spellings() {
        let toolchain = Toolchain { folder: "w".into() };
        let settings = toolchain.settings(Path::new("run"));
        let of = |name: &str| settings.iter().find(|(n, _)| n == name).map(|(_, v)| v);
        assert_eq!(
            of("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER"),
            Some(&PathBuf::from("run"))
        );
        assert!(of("CC_x86_64_pc_windows_gnu").is_some());
        assert_eq!(of("RUSTC"), Some(&Path::new("w").join("rustc")));
    }
}
