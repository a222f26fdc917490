//! A raw TCP port of another program as the wire: gensiot joins it to the serial line.

use std::process::{Command, Stdio};

use super::common::{BAUD, HARDLINE, Running, Wire, bytes, command, free_port, until};

/// gensiot as a server of the serial line at an end.
fn serial_server(wire: &Wire, end: &str) -> (Running, String) {
    let port = free_port();
    // pseudo-terminals take any rate; what counts is the wire between them
    let line = format!("serialdev,{},115200n81,local", wire.text(end));
    let mut gensiot = command("gensiot");
    gensiot.args(["--server", "-i", &line, "-a", &format!("tcp,127.0.0.1,{port}")]);
    let server = wire.start(&format!("gensiot-{end}"), &mut gensiot);
    (server, format!("tcp:127.0.0.1:{port}"))
}

#[test]
fn a_serial_server_is_the_wire() {
    let wire = Wire::new("1e-5", "51");
    let ((_one, near), (_two, far)) = (serial_server(&wire, "a"), serial_server(&wire, "b"));
    let link = |end: &str, port: &str, args: &[&str]| {
        let mut link = Command::new(HARDLINE);
        link.args(["link", "--plain", "-v", "--wait", port, "-b", &BAUD.to_string(), "--control"])
            .arg(wire.path(&format!("{end}.sock")));
        wire.start(&format!("link-{end}"), link.args(args).stdin(Stdio::null()).stdout(Stdio::null()))
    };
    let _ends = [link("a", &near, &[]), link("b", &far, &["--service", "echo=exec:cat"])];
    until("the control socket", || wire.path("a.sock").exists().then_some(()));
    wire.await_session();
    let sent = bytes(150_000, 51);
    wire.ask("echo", &sent).assert_wrote(&sent);
    wire.finish();
}
