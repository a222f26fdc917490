//! Modem lines: which output of one end reaches which input of the other.

use serde::{Deserialize, Serialize};

/// The outputs of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outputs {
    /// Request to send.
    pub rts: bool,
    /// Data terminal ready.
    pub dtr: bool,
}

impl Outputs {
    /// As a port has them while it is used.
    pub const ON: Outputs = Outputs { rts: true, dtr: true };
    /// Every combination; the last one is [`Outputs::ON`].
    pub const ALL: [Outputs; 4] = [
        Outputs { rts: false, dtr: false },
        Outputs { rts: true, dtr: false },
        Outputs { rts: false, dtr: true },
        Outputs { rts: true, dtr: true },
    ];
}

/// The inputs of a port, as bits in [`Wiring`].
pub const INPUTS: [(&str, u8); 4] = [("CTS", 1), ("DSR", 2), ("DCD", 4), ("RI", 8)];

/// Inputs as bits, for each of [`Outputs::ALL`].
pub type Table = [u8; 4];

/// How the modem lines of two ports are joined, seen from one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wiring {
    /// The peer's inputs over our outputs.
    pub to_peer: Table,
    /// Our inputs over the peer's outputs.
    pub from_peer: Table,
    /// Our inputs over our own outputs.
    pub own: Table,
    /// The peer's inputs over its own outputs.
    pub peer_own: Table,
}

impl Wiring {
    /// The same, seen from the other end.
    pub fn mirrored(self) -> Wiring {
        Wiring { to_peer: self.from_peer, from_peer: self.to_peer, own: self.peer_own, peer_own: self.own }
    }
}

/// Inputs that follow an output: RTS, then DTR.
fn followers(table: Table) -> [Vec<&'static str>; 2] {
    let follow = |bit: u8, on: fn(&Outputs) -> bool| (0..4).all(|i| (table[i] & bit != 0) == on(&Outputs::ALL[i]));
    let of = |on: fn(&Outputs) -> bool| INPUTS.iter().filter(|(_, bit)| follow(*bit, on)).map(|i| i.0).collect();
    [of(|o| o.rts), of(|o| o.dtr)]
}

/// What is to be said of one direction: `from` and `to` name the ends. Empty where no line is joined at all.
fn direction(table: Table, own: Table, from: &str, to: &str) -> Vec<String> {
    let [rts, dtr] = followers(table);
    let mut said = Vec::new();
    match &rts[..] {
        ["CTS", ..] => {}
        [] if dtr.contains(&"CTS") => said.push(format!("swapped: DTR of {from} reaches CTS of {to}, RTS does not: swap them")),
        [] => {}
        others => said.push(format!("swapped: RTS of {from} reaches {} of {to}, not CTS", others.join(" and "))),
    }
    let [own_rts, _] = followers(own);
    if own_rts.contains(&"CTS") {
        said.push(format!("RTS of {to} is joined to its own CTS: flow control does nothing there"));
    }
    said
}

/// Whether RTS reaches CTS both ways, so that `--flow rtscts` works.
pub fn can_flow(wiring: &Wiring) -> bool {
    [wiring.to_peer, wiring.from_peer].into_iter().all(|t| followers(t)[0].contains(&"CTS"))
        && [wiring.own, wiring.peer_own].into_iter().all(|t| !followers(t)[0].contains(&"CTS"))
}

/// What is wrong or remarkable, in sentences; a wire with three lines only has nothing of the kind.
pub fn faults(wiring: &Wiring) -> Vec<String> {
    let mut said = direction(wiring.to_peer, wiring.peer_own, "this end", "the peer");
    said.extend(direction(wiring.from_peer, wiring.own, "the peer", "this end"));
    let [out, back] = [wiring.to_peer, wiring.from_peer].map(|t| followers(t)[0].contains(&"CTS"));
    if out != back && !said.iter().any(|s| s.starts_with("swapped")) {
        let (has, lacks) = if out { ("this end", "the peer") } else { ("the peer", "this end") };
        said.push(format!("missing: RTS of {has} reaches the other's CTS, RTS of {lacks} does not"));
    }
    said
}

/// Everything that is joined, in a line; seen from this end.
pub fn joined(wiring: &Wiring) -> String {
    let mut said = Vec::new();
    for (table, from, to) in [(wiring.to_peer, "our", "its"), (wiring.from_peer, "its", "our")] {
        for (output, inputs) in ["RTS", "DTR"].into_iter().zip(followers(table)) {
            said.extend(inputs.iter().map(|input| format!("{from} {output} to {to} {input}")));
        }
    }
    if said.is_empty() { "no modem lines are joined (three wires)".into() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CTS follows RTS, DSR and DCD follow DTR.
    const CROSSED: Table = [0, 1, 6, 7];
    const NONE: Table = [0; 4];

    #[test]
    fn a_null_modem_is_right() {
        let wiring = Wiring { to_peer: CROSSED, from_peer: CROSSED, own: NONE, peer_own: NONE };
        assert!(can_flow(&wiring) && faults(&wiring).is_empty());
        assert!(joined(&wiring).starts_with("our RTS to its CTS, our DTR to its DSR"));
    }

    #[test]
    fn three_wires_have_no_fault() {
        // inputs that float high are no lines either
        let wiring = Wiring { to_peer: [2; 4], ..Wiring::default() };
        assert!(!can_flow(&wiring) && faults(&wiring).is_empty());
        assert_eq!(joined(&wiring), "no modem lines are joined (three wires)");
    }

    #[test]
    fn missing_and_swapped_lines_are_named() {
        let one_way = Wiring { to_peer: CROSSED, ..Wiring::default() };
        assert_eq!(faults(&one_way), ["missing: RTS of this end reaches the other's CTS, RTS of the peer does not"]);
        assert_eq!(faults(&one_way.mirrored()), ["missing: RTS of the peer reaches the other's CTS, RTS of this end does not"]);
        // DSR follows RTS, CTS follows DTR
        let swapped = Wiring { to_peer: [0, 2, 1, 3], from_peer: CROSSED, ..Wiring::default() };
        assert!(faults(&swapped)[0].starts_with("swapped: RTS of this end reaches DSR"), "{:?}", faults(&swapped));
        let jumper = Wiring { own: [0, 1, 0, 1], ..Wiring::default() };
        assert!(!can_flow(&jumper) && faults(&jumper)[0].contains("joined to its own CTS"));
    }
}
