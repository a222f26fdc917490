//! The fuzz corpus as plain tests, and beside it thousands of random mutations of it.
#![allow(missing_docs)]

#[allow(unreachable_pub)]
#[path = "../../link/fuzz/src/mutate.rs"]
mod mutate;
#[allow(unreachable_pub)]
#[path = "../fuzz/src/lib.rs"]
mod targets;

use mutate::run;

#[test]
fn plain() {
    run("plain", targets::plain);
}

#[test]
fn sealed() {
    run("sealed", targets::sealed);
}
