//! A disk over the wire: NBD by way of a forward.

use std::fs;

use super::common::{Wire, assert_carried, bytes, command, until};

#[test]
fn nbd_reads_and_writes_a_disk() {
    let wire = Wire::new("1e-5", "41");
    let mut disk = bytes(256 << 10, 41);
    fs::write(wire.path("disk"), &disk).unwrap();
    let mut export = command("qemu-nbd");
    export.args(["-t", "-f", "raw", "-k"]).arg(wire.path("nbd")).arg(wire.path("disk"));
    let export = wire.start("qemu-nbd", &mut export);
    until("the export", || wire.path("nbd").exists().then_some(()));
    let (service, forward) = (format!("nbd=unix:{}", wire.text("nbd")), format!("unix:{}=nbd", wire.text("disk.sock")));
    let _ends = wire.linked(&["--forward", &forward], &["--service", &service]);
    let url = format!("nbd+unix:///?socket={}", wire.text("disk.sock"));

    let info = wire.run("qemu-img", command("qemu-img").args(["info", "-f", "raw", &url]));
    assert!(info.contains("256 KiB"), "{info}");
    wire.run("qemu-img", command("qemu-img").args(["convert", "-f", "raw", "-O", "raw", &url]).arg(wire.path("copy")));
    assert_carried(&wire.path("copy"), &disk);
    // and back: the middle is written anew
    let pattern = ["-f", "raw", "-c", "write -P 0x5a 64k 64k", "-c", "flush", &url];
    wire.run("qemu-io", command("qemu-io").args(pattern));
    disk[64 << 10..128 << 10].fill(0x5a);
    wire.await_channels(0);
    drop(export);
    assert_carried(&wire.path("disk"), &disk);
    wire.finish();
}
