//! What exit codes mean.

/// What an exit code means, in words.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// The code; of the last row the first of a range, 128 + N.
    pub code: u8,
    /// What it says of the data.
    pub meaning: &'static str,
    /// How it comes about.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Every exit code in order; `docs/errors.md` and `hardline explain` are made of it.
pub const EXPLANATIONS: [Explanation; 8] = [
    Explanation {
        code: 0,
        meaning: "everything was delivered and acknowledged, both ways",
        cause: "The far program has every byte that was put in; of 'diode recv': everything is there. What was left out because it \
                cannot travel (links, special files) was named and does not count. A console that was left by ~. ends so too.",
        remedy: "Nothing is to be done.",
    },
    Explanation {
        code: 1,
        meaning: "failed",
        cause: "Input could not be read, output, a file or a key could not be read or written (it is named), or the command after -- \
                or the far service ended with an error. What was said before was delivered, unless the command was killed.",
        remedy: "Read the line on stderr: it names the file or the command. Mend that and run it again; 'send' and 'recv' go on where they were.",
    },
    Explanation {
        code: 2,
        meaning: "the command line is wrong, or the configuration file",
        cause: "An unknown flag, a value out of its range, flags that exclude each other, or a port that cannot do what is asked of it \
                (a baud rate the adapter does not have). Nothing was sent.",
        remedy: "'hardline COMMAND --help' has every flag; 'hardline check FILE' names line and column.",
    },
    Explanation {
        code: 3,
        meaning: "the session was lost, or data could not be delivered",
        cause: "The port or the peer was away for longer than --grace (60 s unless said), the far end was restarted or ended early, or \
                'hardline link', which held the wire, ended. Bytes the peer did not acknowledge may or may not have arrived.",
        remedy: "See that both ends run at the same --baud, that TX and RX are crossed and GND is joined, and run it again; 'send' and 'recv' go on \
                 where they were. Where outages are long, give both ends a longer --grace.",
    },
    Explanation {
        code: 4,
        meaning: "something is missing (one way); it is named",
        cause: "The receiver of a one-way wire lost more than repair symbols could make good, or joined too late; the end of a session was not heard; \
                or no session came at all before the end of the input (rubbish, another baud rate).",
        remedy: "Send what is named once more ('recv --state DIR' keeps what came), with more --rounds or --overhead, a harsher --profile, or a \
                 longer --survive. '--report FILE' says why each thing is missing.",
    },
    Explanation {
        code: 5,
        meaning: "the peer refused, speaks another version, or is no hardline",
        cause: "The service is not offered, the other end has a key and this one none, or something else talks on a plain wire (a boot \
                text, a login). One way: frames came, and none could be read or believed. An end with a key never ends so for what comes \
                without proof: it says so and waits for its peer.",
        remedy: "Compare 'hardline key show FILE' at both ends with 'hardline key list', and the versions. Where the peer has a new key on \
                 purpose: 'hardline key trust PORT KEY --replace'. The names of services are in the far 'hardline link'.",
    },
    Explanation {
        code: 6,
        meaning: "the port is not there, not permitted or busy",
        cause: "The adapter is unplugged or has another name, your account may not use it, or another program holds it.",
        remedy: "'hardline ports' shows the adapters, who holds them and which group may use them ('usermod -aG dialout USER', then a new login). \
                 --wait waits for an adapter.",
    },
    Explanation {
        code: 128,
        meaning: "ended by signal N",
        cause: "Somebody, a service manager or the kernel ended it: 130 is Ctrl-C (2), 137 is SIGKILL (9; also when memory ran out), 143 is \
                SIGTERM (15). What was not acknowledged by then may or may not have arrived.",
        remedy: "Look who sent the signal ('journalctl', 'dmesg'), and run it again.",
    },
];
