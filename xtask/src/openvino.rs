//! Intel's build of the runtime library: the provider beside the processor that
//! a package client brings to any x86-64 Linux, for users and for the tests.

use anyhow::bail;

use crate::clients::Package;
use crate::home::Home;
use crate::setup;
use crate::step::{self, State, Wanted};

const PACKAGE: Package = Package::Wheel {
    name: "onnxruntime-openvino",
    version: "1.24.1",
    platform: "manylinux_2_28_x86_64",
};

/// What the processor's provider loads, with digests computed from the package
/// of this version. Its libraries find each other in their own folder.
const FILES: [(&str, &str); 7] = [
    (
        "libonnxruntime.so.1.24.1",
        "c7b0590c7825f7029ba17e20a5dea27f7f570d8241d60584caacd363648aa8e2",
    ),
    (
        "libonnxruntime_providers_openvino.so",
        "b19cae6eb713f35427a8427f141ffc8fc2471ae0532f57e52d84fa9a66799c30",
    ),
    (
        "libonnxruntime_providers_shared.so",
        "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d",
    ),
    (
        "libopenvino.so.2541",
        "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943",
    ),
    (
        "libopenvino_intel_cpu_plugin.so",
        "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb",
    ),
    (
        "libopenvino_onnx_frontend.so.2541",
        "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923",
    ),
    (
        "libtbb.so.12",
        "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653",
    ),
];

fn wanted(home: &Home) -> Vec<Wanted> {
    let folder = home.root.join("openvino");
    FILES
        .iter()
        .map(|(name, sha256)| Wanted {
            member: format!("onnxruntime/capi/{name}"),
            path: folder.join(name),
            sha256: (*sha256).to_owned(),
        })
        .collect()
}

/// Fetches the library unless it is there; a system that it is not made for is
/// an error.
pub(crate) fn bring(home: &Home) -> anyhow::Result<()> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("onnxruntime-openvino is fetched for Linux on x86-64 only");
    }
    let wanted = wanted(home);
    if step::state(&wanted)? != State::Ready {
        setup::fetch(home, &PACKAGE, &wanted)?;
    }
    println!(
        "  OpenVINO ready; use it with --ort-lib {}",
        wanted[0].path.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_goes_into_one_folder_and_is_pinned() {
        let home = Home {
            repository: "r".into(),
            root: "h".into(),
        };
        for file in wanted(&home) {
            assert_eq!(file.path.parent(), Some(std::path::Path::new("h/openvino")));
            assert!(file.sha256.len() == 64 && file.member.starts_with("onnxruntime/capi/lib"));
        }
    }
}
