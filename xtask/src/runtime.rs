//! ONNX Runtime's shared library for this system.

use std::path::Path;

use anyhow::Context as _;

use crate::clients::{Package, python};
use crate::home::Home;
use crate::setup;
use crate::step::{self, State, Wanted};

/// The wheel of every system but Windows.
const WHEEL: (&str, &str) = ("onnxruntime", "1.31.1");
/// The wheel of Windows: it carries DirectML for graphics cards of any maker, and
/// needs no C++ runtime to be installed first, which the other one does.
const WINDOWS_WHEEL: (&str, &str) = ("onnxruntime-windowsml", "1.30.0.202609102321");
/// Version of the npm package, for machines without pip.
const NPM: &str = "1.30.0";

/// Where one system's library comes from. Digests are those of the library,
/// computed from the packages of these versions.
struct Source {
    os: &'static str,
    arch: &'static str,
    /// Name and version.
    wheel: (&'static str, &'static str),
    /// pip's name of the platform.
    platform: &'static str,
    /// Members of the wheel with their digests.
    wheel_files: &'static [(&'static str, &'static str)],
    npm_file: (&'static str, &'static str),
}

const SOURCES: &[Source] = &[
    Source {
        os: "linux",
        arch: "x86_64",
        wheel: WHEEL,
        platform: "manylinux_2_28_x86_64",
        wheel_files: &[(
            "onnxruntime/capi/libonnxruntime.so.1.31.1",
            "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        )],
        npm_file: (
            "package/bin/napi-v6/linux/x64/libonnxruntime.so.1",
            "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
        ),
    },
    Source {
        os: "linux",
        arch: "aarch64",
        wheel: WHEEL,
        platform: "manylinux_2_28_aarch64",
        wheel_files: &[(
            "onnxruntime/capi/libonnxruntime.so.1.31.1",
            "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        )],
        npm_file: (
            "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1",
            "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
        ),
    },
    Source {
        os: "windows",
        arch: "x86_64",
        wheel: WINDOWS_WHEEL,
        platform: "win_amd64",
        wheel_files: &[
            (
                "onnxruntime/capi/onnxruntime.dll",
                "484ced8473fe073c06494357022899346cf5fcbc19155bd57dc2db4ac052f86f",
            ),
            (
                "onnxruntime/capi/DirectML.dll",
                "89fcd11625440ad67bbad5c5e26f2ac7241ea0da5ecd03580846da2fe5145cd8",
            ),
        ],
        npm_file: (
            "package/bin/napi-v6/win32/x64/onnxruntime.dll",
            "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67",
        ),
    },
    Source {
        os: "windows",
        arch: "aarch64",
        wheel: WINDOWS_WHEEL,
        platform: "win_arm64",
        wheel_files: &[
            (
                "onnxruntime/capi/onnxruntime.dll",
                "2de0e04295e9088dad20f40c97c34a9e57fd4b157a343f4428430a51a750aa2c",
            ),
            (
                "onnxruntime/capi/DirectML.dll",
                "fe14aa3022c92532408f491370a73eab6d706d02d82fb059d17372c6a46c44a7",
            ),
        ],
        npm_file: (
            "package/bin/napi-v6/win32/arm64/onnxruntime.dll",
            "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0",
        ),
    },
    Source {
        os: "macos",
        arch: "aarch64",
        wheel: WHEEL,
        platform: "macosx_14_0_arm64",
        wheel_files: &[(
            "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
            "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
        )],
        npm_file: (
            "package/bin/napi-v6/darwin/arm64/libonnxruntime.1.30.0.dylib",
            "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
        ),
    },
];

/// A package and the files it brings.
pub(crate) type Choice = (Package, Vec<Wanted>);

/// What can bring the library to this system, the preferred package first. Empty
/// on a system for which no package carries it.
pub(crate) fn choices(home: &Home) -> Vec<Choice> {
    choices_for(
        std::env::consts::OS,
        std::env::consts::ARCH,
        &home.runtime(),
    )
}

/// The same for a system by its name, into `folder`.
fn choices_for(os: &str, arch: &str, folder: &Path) -> Vec<Choice> {
    let wanted = |&(member, sha256): &(&str, &str)| Wanted {
        member: member.to_owned(),
        path: folder.join(member.rsplit('/').next().unwrap_or(member)),
        sha256: sha256.to_owned(),
    };
    SOURCES
        .iter()
        .filter(|s| s.os == os && s.arch == arch)
        .flat_map(|s| {
            let (name, version) = s.wheel;
            let wheel = Package::Wheel {
                name,
                version,
                platform: s.platform,
            };
            let npm = Package::Npm {
                name: "onnxruntime-node",
                version: NPM,
            };
            [
                (wheel, s.wheel_files.iter().map(wanted).collect()),
                (npm, vec![wanted(&s.npm_file)]),
            ]
        })
        .collect()
}

/// Brings another system's library into `folder`, unless it is there.
pub(crate) fn bring_for(home: &Home, os: &str, arch: &str, folder: &Path) -> anyhow::Result<()> {
    let choices = choices_for(os, arch, folder);
    for (_, files) in &choices {
        if step::state(files)? == State::Ready {
            return Ok(());
        }
    }
    let (package, files) = preferred(&choices)
        .with_context(|| format!("no package carries the runtime library for {os} on {arch}"))?;
    setup::fetch(home, package, files)
}

/// The choice to fetch: the wheel when there is pip, else the npm package.
pub(crate) fn preferred(choices: &[Choice]) -> Option<&Choice> {
    if python().is_ok() {
        choices.first()
    } else {
        choices.last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_system_is_pinned_once_by_two_whole_digests() {
        let mut systems: Vec<_> = SOURCES.iter().map(|s| (s.os, s.arch)).collect();
        systems.sort_unstable();
        systems.dedup();
        assert_eq!(systems.len(), SOURCES.len());
        for source in SOURCES {
            assert!(!source.wheel_files.is_empty());
            for (member, digest) in source.wheel_files.iter().chain([&source.npm_file]) {
                assert_eq!(digest.len(), 64, "{member} {} {}", source.os, source.arch);
                assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()));
            }
        }
    }

    #[test]
    fn windows_gets_directml_beside_the_library() {
        let choices = choices_for("windows", "x86_64", Path::new("r"));
        let files: Vec<_> = choices[0].1.iter().map(|w| w.path.as_path()).collect();
        assert_eq!(
            files,
            [
                &*Path::new("r").join("onnxruntime.dll"),
                &*Path::new("r").join("DirectML.dll")
            ]
        );
        assert!(choices_for("plan9", "x86_64", Path::new("r")).is_empty());
    }
}
