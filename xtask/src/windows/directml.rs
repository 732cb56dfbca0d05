//! DirectML where there is no device: by name it stops and says what the driver
//! said, left to choose it falls back and says so.

use std::path::Path;

use anyhow::ensure;

use super::pair::{Pair, Side, ends};

/// The exit code for a device that was asked for and is not there.
const DEVICE_MISSING: i32 = 3;
/// What DirectML says without a DirectX 12 device: DXGI_ERROR_UNSUPPORTED.
const NO_DIRECTX_DEVICE: &str = "887A0004";
/// What doctor must name: the libraries, the runtime's version, the error.
const NAMED_BY_DOCTOR: [&str; 4] = [
    "onnxruntime.dll",
    "DirectML.dll",
    "ORT Build Info",
    NO_DIRECTX_DEVICE,
];

/// Runs the worker and its doctor on Windows.
pub(super) fn speaks(pair: &Pair<'_>, queue: &Path, folder: &Path) -> anyhow::Result<&'static str> {
    let run = |provider: &str, code| {
        let mut command = pair.command(Side::Windows, "embed-worker")?;
        command
            .args(["run", &Side::Windows.path(queue)])
            .arg(format!("{provider}.npz"))
            .args(["--provider", provider])
            .current_dir(folder);
        ends(&mut command, code)
    };
    let named = run("directml", DEVICE_MISSING)?;
    ensure!(
        named.contains(NO_DIRECTX_DEVICE),
        "--provider directml should show the driver's {NO_DIRECTX_DEVICE}: {named}"
    );
    let auto = run("auto", 0)?;
    ensure!(
        auto.contains("provider: cpu") && auto.contains(NO_DIRECTX_DEVICE),
        "--provider auto should say that directml failed and run on the processor: {auto}"
    );
    let mut doctor = pair.command(Side::Windows, "embed-worker")?;
    let doctor = ends(
        doctor.args(["doctor", "--provider", "directml"]),
        DEVICE_MISSING,
    )?;
    for name in NAMED_BY_DOCTOR {
        ensure!(doctor.contains(name), "doctor should name {name}: {doctor}");
    }
    Ok(
        "directml by name stops with 887A0004; auto says so and runs on the processor; \
         doctor names both libraries, the version and the error",
    )
}
