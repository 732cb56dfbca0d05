//! ONNX Runtime's shared library for this system.

use crate::clients::{Package, python};
use crate::home::Home;
use crate::step::Wanted;

/// Version of the wheel, the first choice.
const WHEEL: &str = "1.31.1";
/// Version of the npm package, for machines without pip.
const NPM: &str = "1.30.0";

/// Where one system's library comes from. Digests are those of the library,
/// computed from the packages of these versions.
struct Source {
    os: &'static str,
    arch: &'static str,
    /// pip's name of the platform.
    platform: &'static str,
    wheel_member: &'static str,
    wheel_sha256: &'static str,
    npm_member: &'static str,
    npm_sha256: &'static str,
}

const SOURCES: &[Source] = &[
    Source {
        os: "linux",
        arch: "x86_64",
        platform: "manylinux_2_28_x86_64",
        wheel_member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        wheel_sha256: "fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3",
        npm_member: "package/bin/napi-v6/linux/x64/libonnxruntime.so.1",
        npm_sha256: "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23",
    },
    Source {
        os: "linux",
        arch: "aarch64",
        platform: "manylinux_2_28_aarch64",
        wheel_member: "onnxruntime/capi/libonnxruntime.so.1.31.1",
        wheel_sha256: "8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467",
        npm_member: "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1",
        npm_sha256: "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76",
    },
    Source {
        os: "windows",
        arch: "x86_64",
        platform: "win_amd64",
        wheel_member: "onnxruntime/capi/onnxruntime.dll",
        wheel_sha256: "e45f61e50d8650885452be538a00bb14a715e46a1bc3691000ce947e89ed0306",
        npm_member: "package/bin/napi-v6/win32/x64/onnxruntime.dll",
        npm_sha256: "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67",
    },
    Source {
        os: "windows",
        arch: "aarch64",
        platform: "win_arm64",
        wheel_member: "onnxruntime/capi/onnxruntime.dll",
        wheel_sha256: "dc9e2fe646a72829386a24ac9185a7a4e26d7dbe5dc433d41df063603c00bbc7",
        npm_member: "package/bin/napi-v6/win32/arm64/onnxruntime.dll",
        npm_sha256: "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0",
    },
    Source {
        os: "macos",
        arch: "aarch64",
        platform: "macosx_14_0_arm64",
        wheel_member: "onnxruntime/capi/libonnxruntime.1.31.1.dylib",
        wheel_sha256: "d586cbe89effc085a09d3341b3cfbd5c322517f9d397aeb20814af21433f2b36",
        npm_member: "package/bin/napi-v6/darwin/arm64/libonnxruntime.1.30.0.dylib",
        npm_sha256: "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d",
    },
];

/// A package and the file it brings, the preferred one first. Empty on a system
/// for which no package carries the library.
pub(crate) fn choices(home: &Home) -> Vec<(Package, Wanted)> {
    SOURCES
        .iter()
        .filter(|s| s.os == std::env::consts::OS && s.arch == std::env::consts::ARCH)
        .flat_map(|s| {
            let wanted = |member: &str, sha256: &str| Wanted {
                member: member.to_owned(),
                path: home
                    .runtime()
                    .join(member.rsplit('/').next().unwrap_or(member)),
                sha256: sha256.to_owned(),
            };
            let wheel = Package::Wheel {
                name: "onnxruntime",
                version: WHEEL,
                platform: s.platform,
            };
            let npm = Package::Npm {
                name: "onnxruntime-node",
                version: NPM,
            };
            [
                (wheel, wanted(s.wheel_member, s.wheel_sha256)),
                (npm, wanted(s.npm_member, s.npm_sha256)),
            ]
        })
        .collect()
}

/// The choice to fetch: the wheel when there is pip, else the npm package.
pub(crate) fn preferred(choices: &[(Package, Wanted)]) -> Option<&(Package, Wanted)> {
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
            for digest in [source.wheel_sha256, source.npm_sha256] {
                assert_eq!(digest.len(), 64, "{} {}", source.os, source.arch);
                assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()));
            }
            assert!(source.wheel_member.contains(WHEEL) || source.os == "windows");
        }
    }
}
