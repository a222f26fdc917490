//! What `hardline test` finds.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "Measuring a wire"

    failures {
        RATE_UNUSABLE = "rate-unusable", Exit::Failed;
            says ["{port}: at no rate a usable share of the bytes came through"];
            cause "The ends met, but at each rate so much was lost or spoiled that no settings could make good for it: a cable that is too long, no common GND, wrong levels (RS-232 on a TTL pin), or a broken adapter.";
            remedy "Look at the table above for the best rate; try lower ones (--rates 9600,19200), a shorter cable, the other adapter; --loopback tests each adapter alone.";
        WIRE_ALTERS = "wire-alters", Exit::Failed;
            says ["{port}: not every byte gets through: {what}"];
            cause "The ends met, but certain bytes never arrive as they are, at any rate: something on the way takes them for itself. XON and XOFF (11 13) are eaten by software flow control, ff is doubled by terminal servers in telnet mode, 00 is dropped as padding, 0a and 0d are ends of lines to a terminal, and the eighth bit is missing with 7 data bits or parity.";
            remedy "Make the way transparent: a raw TCP port in the place of telnet, no flow control but RTS/CTS, 8N1, 'stty raw' on terminals in between. The line above says which bytes and which way.";
        WIRE_SILENT = "wire-silent", Exit::Lost;
            says [
                "{port}: nothing is heard at {n} baud: run 'hardline test",
                "{port}: nothing comes back: are TX and RX joined?",
            ];
            cause "Not one byte came: the other end does not run 'hardline test', TX and RX are not crossed, GND is not joined, or (--loopback) the plug is missing.";
            remedy "Start the other end; measure the voltage at RX (a line at rest is at 3.3 or 5 V, with RS-232 at -5 to -12 V); --loopback tests an adapter alone.";
        WIRE_NOISY = "wire-noisy", Exit::Lost;
            says [
                "{port}: bytes come at {n} baud, but no test: does the other end use another --baud, or is something else talking there?",
                "{port}: what comes back is not what was sent: is something else on the wire?",
                "{port}: the other end tests, but bit 8 of every byte is lost on the way: 7 data bits, or parity, at one of the ports; set all to 8N1",
                "{port}: the other end tests, but nothing of what it says arrives whole: bytes are lost, doubled or changed on the way",
            ];
            cause "Bytes come that are no test: the ends have different --baud, or a login or a boot loader talks at the other end. Or they are a test's, and do not arrive as they were sent: something on the way has 7 data bits, takes bytes for flow control, or doubles them.";
            remedy "Give both ends the same --baud, stop the other program ('systemctl stop serial-getty@ttyX'), and look at what comes with 'picocom PORT'. What is between the ends must be raw: 8N1, no XON/XOFF, no telnet.";
        WIRE_LOOPED = "wire-looped", Exit::Lost;
            says ["{port}: what is sent comes back: a loopback plug (use --loopback), or TX joined to RX at the far end"];
            cause "This end hears itself.";
            remedy "Take the plug out, or measure the adapter alone with --loopback.";
        WIRE_HALF = "wire-half", Exit::Lost;
            says ["{port}: the peer is heard, but it does not hear this end: our TX does not reach its RX"];
            cause "The wire carries one way only: one conductor is broken or on another pin, or it is a diode.";
            remedy "See to the conductor from our TX to the far RX; a one-way wire is measured with --one-way=send and --one-way.";
    }

    notices {}
}
