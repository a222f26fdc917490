//! Ports: opening them, and losing them.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "Ports"

    failures {
        PORT_ABSENT = "port-absent", Exit::Port;
            says [
                "cannot open {port}: there is no such device; is the adapter plugged in?",
                "cannot open {port}: there is neither a port nor a control socket; is the adapter plugged in (--wait waits for it), or 'hardline link' running?",
                "cannot open usb:{number}: no adapter has this serial number",
                "cannot open {port}: No such file or directory",
            ];
            cause "The adapter is not plugged in, its driver is not loaded, it has another name since it was plugged in again (ttyUSB0, ttyUSB1), or the control socket of 'hardline link' was meant and that is not running.";
            remedy "'hardline ports' lists what is there and names that stay (usb:SERIAL-NUMBER); 'dmesg' says what the kernel thinks of an adapter. --wait waits until it is there.";
        PORT_AMBIGUOUS = "port-ambiguous", Exit::Port;
            says ["cannot open usb:{number}: {paths} all have this serial number; 'hardline ports' shows names that tell them apart"];
            cause "Several adapters have the same serial number (cheap ones all have 0001), or one adapter has several ports: the wrong wire could be taken.";
            remedy "Use the PORT that 'hardline ports' shows, /dev/serial/by-path/..: it stays with the socket the adapter is plugged into.";
        PORT_DENIED = "port-denied", Exit::Port;
            says ["cannot open {port}: {why}; are you in the group 'dialout'?", "cannot open {port}: Permission denied"];
            cause "Your account may not read and write the device.";
            remedy "'hardline ports' names the group that may: 'usermod -aG dialout USER', then a new login ('id' must show the group). In a unit: SupplementaryGroups=dialout.";
        PORT_BUSY = "port-busy", Exit::Port;
            says ["cannot open {port}: busy, in use by {program}", "cannot open {port}: Device or resource busy"];
            cause "Another program has the port open: a terminal program, a getty, ModemManager, another hardline. 'another program' is all that is said of programs of other users. Or a program that runs has a lock file for it (LCK..ttyS0 in /var/lock or /run/lock: minicom, cu, pppd, ser2net); one that was left behind by a process that is gone does not count.";
            remedy "End it: 'sudo fuser -v PORT' names it, 'systemctl stop ModemManager' or 'serial-getty@ttyX'. What a 'hardline link' holds is shared through its --control SOCKET.";
        PORT_UNFIT = "port-unfit", Exit::Port;
            says [
                "cannot open {port}: this is not a serial port",
                "cannot open {port}: this is a socket, not a serial port; one way goes over ports, files, udp: and exec:",
                "cannot open {port}: this is a file with something else in it than a recording; a new one goes into an empty file",
                "cannot open {port}: this is a socket, not a serial port; as a wire it is written unix:{path}",
                "cannot open {port}: this is a folder, not a port",
            ];
            cause "The path is there, but it is a file, a folder, a socket or a device that is no terminal.";
            remedy "'hardline ports' lists the serial ports; other kinds are written with their scheme, such as unix:PATH or tcp:HOST:PORT.";
        PORT_FAILED = "port-failed", Exit::Port;
            says ["cannot open {port}: {why}", "cannot set up {port}: {why}", "cannot use stdin and stdout as the wire: {why}", "cannot use stdin or stdout as the wire: {why}"];
            cause "The kernel refused to open the port or to set it up; its reason stands at the end. An input/output error is often an adapter that hangs or a built-in port without hardware behind it.";
            remedy "Unplug the adapter and plug it in again, try 'stty -F PORT -a', and see 'dmesg'.";
        PORT_UNREACHABLE = "port-unreachable", Exit::Port;
            says ["cannot connect to {port}: {why}"];
            cause "Nobody listens at the address or path of a tcp: or unix: port, its name is not known, or a firewall drops it (no answer for some seconds).";
            remedy "Start the listening end (tcp-listen:, unix-listen:, a terminal server) first, or give --wait; try 'nc HOST PORT'.";
        PORT_LISTEN = "port-listen", Exit::Port;
            says ["cannot listen on {port}: {why}", "cannot accept a connection: {why}"];
            cause "Another program listens there, the address is not of this machine, ports below 1024 need root, or the folder of the socket may not be written.";
            remedy "'ss -ltnp' names who listens; take another port or path, 0.0.0.0 for all addresses.";
        PORT_COMMAND = "port-command", Exit::Port;
            says ["cannot run exec:{command}: {why}"];
            cause "The shell for the command of an exec: port could not be started: too many processes, or no memory. A command that is not found or fails later counts as a port that closes.";
            remedy "Look at the reason; try 'sh -c \"COMMAND\"' under the same account.";
        PORT_MISUSED = "port-misused", Exit::Usage;
            says [
                "{port} is for hardline diode only: it has no way back",
                "{port} cannot be used one way",
                "stdio: cannot be the wire here: stdin and stdout are the channel's",
                "stdio: cannot be the wire of a console: it is the terminal's",
                "a diode has no flow control: --flow rtscts would be a way back",
                "cannot measure {port}: datagrams arrive whole or not at all, so there are no bits to measure",
            ];
            cause "This kind of port cannot do what the command needs: udp: has no way back, a listening or connected two-way port is no diode, and stdin and stdout cannot be both the wire and the payload.";
            remedy "Use another kind of port ('hardline COMMAND --help' lists them), or exec:COMMAND where a program's stdin and stdout are the wire.";
        RATE_IMPOSSIBLE = "rate-impossible", Exit::Usage;
            says ["cannot open {port}: the port cannot do {n} baud", "cannot open {port}: a baud rate of 0 does not exist"];
            cause "The adapter's clock cannot make this rate near enough (what it chose instead is named), or its driver has a limit: a 16550A ends at 115200, a CP2102 at 1 or 2 Mbps, an FT232R at 3 Mbps.";
            remedy "Take a rate that both adapters have, the same at both ends: 115200, 230400, 460800, 921600, 1000000, 2000000 are common.";
        PORT_LOST = "port-lost", Exit::Lost;
            says ["{why}, and did not come back for {n} s; {n} bytes sent and acknowledged, {n} received", "{port}: the port went away, and did not come back for {n} s", "{port} is gone ({why}); looking for it", "{port} is gone ({why}); waiting for it", "{port} is gone ({why}) before the end of the session was heard", "the port was lost while it was measured: {why}; is the adapter plugged in?"];
            cause "The port went away in a session: the adapter was unplugged or lost its power, its driver gave up ('dmesg'), the other end of a socket or of an exec: command ended. It is looked for until --grace is over; if it comes back in time, nothing is lost (one way: nothing that the sender's --survive covers; there it is waited for with --wait or --forever only).";
            remedy "Plug it in again, in the same socket or as usb:SERIAL-NUMBER. For a longer time give both ends a longer --grace. 'send' and 'recv' go on where they were.";
        PORT_GONE = "port-gone", Exit::Port;
            says ["{why}, and did not come back for {n} s; {n} bytes sent and acknowledged, {n} received"];
            cause "The port went away before the peer had answered, and stayed away for --grace. Nothing was sent.";
            remedy "As for port-lost; --wait waits for a port that is not there yet.";
        PORT_CLOSED = "port-closed", Exit::Lost;
            says ["{port} was closed"];
            cause "stdin or stdout, which were the wire, were closed by whoever started hardline; they cannot be opened again.";
            remedy "See why the program at the other side of the pipe ended. Where it may be started again, use exec:COMMAND as the port.";
        SIM_PATH = "sim-path", Exit::Port;
            says ["cannot make a pseudo-terminal at {path}: {why}"];
            cause "'sim' could not put its link to a pseudo-terminal at the path of -a or -b: the folder is not there or may not be written, or something stands there that is no link.";
            remedy "Take paths in a folder of yours that are free.";
    }

    notices {
        PORT_BACK = "port-back";
            says ["{port} is back after {n} s", "{port} is open now, after {n} s"];
            cause "A port that was lost or waited for is there, and the peer's frames come through it. The session goes on; nothing was lost.";
            remedy "Nothing is to be done; if it happens often, see cable, plug and power of the adapter.";
        PORT_SHARED = "port-shared";
            says ["{port}: {program} has it open, too: what one reads the other does not get"];
            cause "A program that does not lock what it opens (cat, pyserial and what is made with it, a getty) had the port open already. What comes in is given to whoever reads first, so that either gets a part of it; only programs of your own account are seen, as root all.";
            remedy "End it ('sudo fuser -v PORT' names it), or take another port. What a 'hardline link' holds is shared through its --control SOCKET.";
        CONNECTION_REPLACED = "connection-replaced";
            says [
                "{port}: another connection has its turn, for the one before was silent for {n} s",
                "{port}: another connection has its turn, for the one before opened no session in {n} s",
            ];
            cause "Of a tcp-listen: or unix-listen: port, the connection in use is dead (its machine lost power, a NAT forgot it), or it never was a hardline, and another one speaks. Whoever goes on with the session has it after 3 s of silence, a call after 15 s or half of --grace; one that proves nothing loses it again.";
            remedy "Nothing is to be done; if it happens often, see the network, and who else connects there ('ss -tnp').";
        LATENCY_LEFT = "latency-left";
            says ["latency timer of {port} left as it is: {why}"];
            cause "An FTDI adapter holds received bytes for up to 16 ms, and hardline was not allowed to set that to 1 ms. All works, but echoes and answers come later. Said with -v.";
            remedy "A udev rule: ACTION==\"add\", SUBSYSTEM==\"usb-serial\", DRIVER==\"ftdi_sio\", ATTR{latency_timer}=\"1\". 'hardline ports' shows the timer.";
    }
}
