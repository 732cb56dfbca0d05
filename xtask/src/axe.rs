//! The rules of accessibility that the tests of face-fix's page check it with: axe-core,
//! run inside the page. For tests only; nothing of it ships.

use crate::clients::Package;
use crate::home::Home;
use crate::step::Wanted;

/// The package and its one file that is needed.
pub(crate) const SOURCE: Package = Package::Npm {
    name: "axe-core",
    version: "4.11.0",
};
const SHA256: &str = "e9e5863c33a874f09bc01acd9234b7e3c871479f5eef8802fa582544465e6d01";

/// The file and where it belongs; the tests look there.
pub(crate) fn files(home: &Home) -> [Wanted; 1] {
    [Wanted {
        member: "package/axe.min.js".to_owned(),
        path: home.root.join("axe").join("axe.min.js"),
        sha256: SHA256.to_owned(),
    }]
}
