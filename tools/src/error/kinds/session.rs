//! Sessions: the peer does not answer, ends, or is another program.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "Sessions and peers"

    failures {
        NOT_HARDLINE = "not-hardline", Exit::Refused;
            says ["{port}: {n} bytes arrived, none were hardline frames: wrong baud rate or another program?", "{port}: {n} bytes arrived, none were frames of 'hardline diode send': wrong baud rate or another program?"];
            cause "Bytes come, but no frame among them: the ends have different baud rates, a login or a boot loader talks at the other end, or a line is inverted (RS-232 levels on a TTL pin). Said after 3 s (on a slow wire once a session would have opened), and final after --grace; of a one-way wire said ever more rarely, and never final.";
            remedy "Give both ends the same --baud; look at the line with 'picocom PORT' (text: another program; rubbish: another rate). Stop the getty at the other end.";
        BYTES_ALTERED = "bytes-altered", Exit::Refused;
            says [
                "{port}: nothing has got through for {n} s, {n} frames came damaged or were sent in vain: does the wire swallow, double or change certain bytes (XON/XOFF, 0xFF of telnet mode, 7 bits)? 'hardline test' at both ends tells",
                "{port}: {n} bytes arrived, with frames in them of which none was whole: does the wire swallow, double or change certain bytes (XON/XOFF, 0xFF of telnet mode, 7 bits)? 'hardline test' at both ends tells",
                "{port}: the peer is heard, but its frames come damaged: does the wire swallow, double or change certain bytes (XON/XOFF, 0xFF of telnet mode, 7 bits)? 'hardline test' at both ends tells; calling on",
                "{port}: {n} bytes arrived, none with its highest bit set: has a port on the way 7 data bits?",
            ];
            cause "Frames come, but damaged in the same way each time: something on the way takes certain bytes for its own (XON and XOFF, 11 and 13 in hex, of software flow control; FF of a terminal server in telnet mode; NUL), or has 7 data bits. A session that is open goes on, with shorter frames, and gets through what it can; one that never opens ends after --grace, as one does that hears no frames.";
            remedy "Make the way transparent: raw TCP in place of telnet (ser2net: 'raw', not 'telnet'; no RFC 2217), 8N1, no software flow control ('stty -ixon -ixoff'). 'hardline test' at both ends shows which bytes it is.";
        TEXT_HEARD = "text-heard", Exit::Refused;
            says ["{port}: text comes in the place of frames, from {who}: '{line}'", "{port}: text comes in the place of frames of 'hardline diode send', from {who}: '{line}'"];
            cause "A login prompt (getty), a shell, a boot loader or a machine that boots, or a device that prints lines is at the other end, and no hardline; its last line is quoted. Said after 2 s, final after --grace where nothing has to be proved. A shell runs what it is sent, so this end calls rarely until it hears a frame.";
            remedy "Start hardline there: by hand in that login, 'hardline pipe stdio: -- CMD' or 'hardline recv stdio: --out DIR', which makes the login's line the wire for as long as it runs; or for good, in the place of the getty ('systemctl disable --now serial-getty@ttyS0'). A boot log ends by itself.";
        PEER_SILENT = "peer-silent", Exit::Lost;
            says ["{port}: nothing came from the peer for {n} s", "{port}: the peer fell silent; what was measured until then is above"];
            cause "A session was open, and then no frame came for --grace: the cable was pulled, the other machine is off, asleep or stopped the process.";
            remedy "Join the cable, start the other end, run this one again; 'send' and 'recv' go on where they were. A longer --grace at both ends survives longer outages.";
        PEER_RESTARTED = "peer-restarted", Exit::Lost;
            says ["{port}: the peer was restarted, this session is lost"];
            cause "The far hardline ended without a word (killed, power) and a new one calls. It does not know what the old one had taken.";
            remedy "Run it again. What was not acknowledged may or may not have arrived: the line says how much was.";
        PEER_LEFT = "peer-left", Exit::Lost;
            says ["{port}: the peer has left"];
            cause "The far hardline ended in order, with no channel of its own in use, while this end still wanted something of it.";
            remedy "Start it again there; 'hardline link' at the far end stays.";
        PEER_INTERRUPTED = "peer-interrupted", Exit::Lost;
            says ["{port}: the peer was interrupted"];
            cause "The far hardline was ended by a signal (Ctrl-C, a service manager) in the middle of the session.";
            remedy "See who ended it there, and run both again.";
        PEER_FAILED = "peer-failed", Exit::Lost;
            says ["{port}: the peer failed; what of, it says at its own end", "{port}: the peer ended the session ({code})"];
            cause "The far hardline ended with an error of its own: its input could not be read, or its command was killed. Its own stderr says which.";
            remedy "Read the far end's last line and mend it there.";
        PEER_OUTPUT_CLOSED = "peer-output-closed", Exit::Lost;
            says ["the peer's output was closed before it had everything"];
            cause "The program that reads the far hardline's stdout ended before it had read everything that was sent.";
            remedy "See why the far program ended; 'head' and the like do so on purpose.";
        VERSION_MISMATCH = "version-mismatch", Exit::Refused;
            says [
                "the peer speaks version {n} of the protocol, this is version {n}; update the older",
                "{port}: somebody calls in version {n} of the protocol, this is version {n}; update the older; calling on",
                "the other end speaks version {n} of file transfer, this is version {n}; update the older",
                "the sender speaks version {n} of the one-way mode, this is version {n}",
            ];
            cause "The two ends are releases with different protocols.";
            remedy "'hardline --version' at both ends; update the older.";
        BOND_MISMATCH = "bond-mismatch", Exit::Refused;
            says ["one end has several ports (--also), the other has one: give both ends the same number of them"];
            cause "A wire that is one of several at one end (--also) is the only one at the other end.";
            remedy "Name the other ports there with --also, too; their order does not matter.";
        MODE_MISMATCH = "mode-mismatch", Exit::Refused;
            says ["one end runs 'hardline pipe', the other one with channels ('link', 'open', ..): start what fits at both ends", "{port}: frames arrive, but of another command ('hardline test', 'hardline diode'): start the same at both ends", "{port}: another command of hardline's runs at the other end; run 'hardline test' there", "{port}: what comes back is not what was sent: is something else on the wire?"];
            cause "'pipe' carries one stream and talks to 'pipe' only; 'link', 'open', 'console', 'send' and 'recv' talk to each other, and 'test' to 'test'.";
            remedy "Start 'pipe' (or 'test') at both ends or at none.";
        CLOSED_HERE = "closed-here", Exit::Failed;
            says ["{port}: closed"];
            cause "This end closed the session itself before it was over; a line before it says why.";
            remedy "Read the line before it (-v shows more), mend that and run it again.";
        INTERRUPTED = "interrupted", Exit::Signal(0);
            says [
                "interrupted by signal {n}; {n} bytes sent and acknowledged, {n} received",
                "ended by signal {n}",
                "ended by signal {n}, while '{command}' had not ended",
                "interrupted; the receiver does not know",
                "interrupted; the receiver was told that the session is over",
                "interrupted; the receiver was told that not all was sent",
                "interrupted; {port} could not be opened yet",
                "interrupted",
            ];
            cause "Somebody or a service manager ended hardline: 2 is Ctrl-C, 15 'kill' or a shutdown, 1 the terminal or ssh went away. The exit code is 128 and the number.";
            remedy "Run it again. What was not acknowledged may or may not have arrived; 'send' and 'recv' go on where they were.";
    }

    notices {
        NO_ANSWER = "no-answer";
            says ["{port}: no answer from the peer yet; calling on", "{port}: {why}; no answer since; calling on", "{port}: a peer was heard, but no session has opened; no answer since; calling on"];
            cause "The port is open, but nothing at all came for 5 s, or nothing that a session could be opened with (the peer was ended, or does not hear this end): the other end is not started, TX and RX are not crossed, GND is not joined, or the far transmitter waits for CTS (--flow).";
            remedy "Start the other end. On the wire: TX to RX both ways, GND to GND; join TX and RX of one adapter, and hardline says that its own frames come back.";
        SESSION_OPEN = "session-open";
            says ["{port}: the session is open now, after {n} s"];
            cause "What was said before it is over: the peer answers, and a session with it is open. Said where something was said that kept it from being open.";
            remedy "Nothing is to be done.";
        PEER_QUIET = "peer-quiet";
            says ["{port}: nothing heard from the peer for {n} s; waiting up to {n} s"];
            cause "A session is open, and not even signs of life come, which a peer gives once a second: a cable is out, the other machine is off, asleep or stopped the process. What is typed or sent meanwhile waits; after --grace the session is lost.";
            remedy "Join the cable, or start the other end again. If it comes back in time, nothing is lost, and that is said, too (peer-back).";
        PEER_BACK = "peer-back";
            says ["{port}: the peer is heard again, after {n} s"];
            cause "A peer that had fallen silent gives signs of life again. The session goes on; nothing was lost.";
            remedy "Nothing is to be done; if it happens often, see cable, plug and power.";
        INPUT_AWAITED = "input-awaited";
            says [
                "all that the peer has to say is here; this ends with your own input (Ctrl-D)",
                "all of our input is at the other end; this ends with the input there (at a terminal: Ctrl-D)",
            ];
            cause "A session of 'pipe' (and a channel of 'open') ends when both directions have ended. One has; the other one waits for the end of an input, which a terminal only has when somebody types Ctrl-D at the start of a line.";
            remedy "Type Ctrl-D where the input is a terminal, or start that end with '</dev/null' if it has nothing to say.";
        STILL_SENDING = "still-sending";
            says ["the other end still sends after the end: stop it there, or the shell here gets that"];
            cause "hardline ran on the terminal of a login (stdio:), has ended, and gives the terminal back to the shell when nothing comes any more. The other end calls or sends on, which the shell would run as commands.";
            remedy "End hardline at the other end. After 30 s the terminal is given back all the same.";
        PEER_UNPROVED = "peer-unproved";
            says ["{port}: the peer is heard, but answers no call: it does not know our key, has another secret, waits for somebody's consent, or gets our calls damaged; calling on"];
            cause "Frames come, but no session opens, and only the far end can know why: it does not take this end's word, or its bytes are altered on the way there (bytes-altered).";
            remedy "Read the far end's stderr; 'hardline key list' there must have the fingerprint 'hardline key show FILE' prints here, or --psk be the same at both.";
        PATH_DOWN = "path-down";
            says [
                "{port}: nothing comes through any more; going on without it",
                "{port}: no answer from the peer yet; going on without it",
                "{port}: nothing comes through any more",
                "{port}: no answer from the peer yet",
            ];
            cause "Of several ports (--also), this one is open but nothing of the peer comes through it, a cable is out, an adapter hangs, or the far end has not named its other side. Others carry the link; where none is left (said of each), the peer is silent.";
            remedy "See its cable and adapter, and that both ends name as many ports; 'hardline status' shows each. It is used again by itself once something comes through.";
        PATH_FOREIGN = "path-foreign";
            says ["{port}: somebody else answers there than {peer}; is it wired to another machine?"];
            cause "Of several ports (--also), this one leads to a hardline that is not the peer of the others. Nothing is sent or taken there.";
            remedy "Join it to the machine that the others lead to, or take it out of --also.";
        OWN_ECHO = "own-echo";
            says ["{port}: our own frames come back; a loopback plug?", "{port}: our own frames come back; a loopback plug, or a terminal that echoes?"];
            cause "What this end sends comes back to it: TX and RX are joined, a two-wire RS-485 adapter hears itself, or a login, a modem or a terminal server echoes. None of it is taken for the peer's. Beside a peer that answers it costs its time on the wire; where the echo and what the peer says at the same time mingle (two wires of RS-485 whose receivers stay on), both are spoiled, and much data both ways at once is slow, or does not end.";
            remedy "Take the loopback plug out (the adapter works), stop what echoes ('stty -echo', the local echo of a modem or terminal server), or join the other machine. On RS-485 turn the receiver off while the driver sends (RE joined to DE; the adapter's echo jumper; 'half duplex' with automatic direction control), or use four wires (RS-422); until then send much one way at a time.";
        FOREIGN_FRAMES = "foreign-frames";
            says ["{port}: frames of another session come in; have cables or adapters changed places?"];
            cause "Frames come in that two other ends say to each other, or that are of a session before this one, and none of the peer: cables or adapters have changed places, or the peer went on with somebody else. None of them is taken.";
            remedy "See where each cable leads; name adapters by what does not change (usb:SERIAL, /dev/serial/by-path). Put right within --grace, the session goes on.";
        SESSION_LOST = "session-lost";
            says ["{why}; its channels have ended, calling for the next session"];
            cause "'hardline link' lost its session; the reason stands first. Channels ended with it; the wire is held, and a new session begins by itself.";
            remedy "Nothing, if the peer was restarted on purpose; else 'hardline explain' has the reason's own entry.";
    }
}
