//! Wires that are held: the control socket, services, channels.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "Held wires and services"

    failures {
        SERVICE_ABSENT = "service-absent", Exit::Refused;
            says ["the peer offers no service of that name", "the peer asks for service '{name}', which is not offered here"];
            cause "The far 'hardline link' has no --service NAME=.. of that name; for 'send', nobody runs 'hardline recv' there.";
            remedy "Names are told apart by capital letters too; see the far command line or configuration. For files: 'hardline recv SOCKET --out DIR' there.";
        SERVICE_UNREACHABLE = "service-unreachable", Exit::Refused;
            says ["the peer could not reach or start the service", "cannot start service '{name}' ({target}): {why}", "cannot connect to service '{name}' ({target}): {why}"];
            cause "The service is offered, but nothing listens at its TARGET, or its command cannot be started. The far end's log has the reason.";
            remedy "At the far end, see that the program runs that tcp: or unix: names, and that hardline's account may reach it.";
        PEER_FULL = "peer-full", Exit::Refused;
            says ["the peer has no room for another channel"];
            cause "260 channels are open on this wire, or the one that was asked for was given up meanwhile.";
            remedy "End some ('hardline status SOCKET' lists them), and try again.";
        CHANNEL_ABORTED = "channel-aborted", Exit::Lost;
            says ["the far end went away before everything was delivered", "the peer ended the channel for a reason this version does not know"];
            cause "The far program, its connection or its terminal ended in the middle, or its reader closed before it had everything.";
            remedy "See the far end's log, and run it again.";
        CHANNEL_FAILED = "channel-failed", Exit::Failed;
            says ["cannot open a channel to '{name}': {why}"];
            cause "This end has no room for another channel (260 at once), or the name is longer than can be asked for.";
            remedy "End some channels ('hardline status SOCKET' lists them), or shorten the name.";
        SERVICE_FAILED = "service-failed", Exit::Failed;
            says ["the service ended with exit code {n}", "the service was ended by signal {n}", "cannot wait for the service: {why}"];
            cause "The far exec: or pty: command ended with an error. What it wrote was delivered, unless it was killed: then the last of it may be missing, and connections of forwards are reset.";
            remedy "The exit code is the command's own: see its manual, and its output.";
        SERVICE_TAKEN = "service-taken", Exit::Refused;
            says ["the service '{name}' is offered on this wire already"];
            cause "Another client of the same 'hardline link' offers it ('hardline recv' offers the service of files), or 'link' does itself.";
            remedy "End the other one, or receive on another wire.";
        CONSOLE_TAKEN = "console-taken", Exit::Refused;
            says ["nobody takes what comes from stdin: {why}"];
            cause "A script was to type into a console where somebody else writes; its input would have been thrown away.";
            remedy "--force takes the writing over, --read-only only looks.";
        LINK_ABSENT = "link-absent", Exit::Port;
            says [
                "cannot reach the wire at {socket} (is 'hardline link' running?): {why}",
                "cannot reach the wire at {socket}: permission denied; use the account that 'hardline link' runs under, or one of its --control-group",
            ];
            cause "Nobody listens at the control socket: 'hardline link' is not running, has another --control, or the socket belongs to another user.";
            remedy "Start 'hardline link PORT --control SOCKET', compare the path, and use the account it runs under; 'link --control-group GROUP' lets others in.";
        LINK_ENDED = "link-ended", Exit::Lost;
            says [
                "'hardline link' has ended",
                "cannot ask for the status: {why}",
                "cannot ask for a channel: {why}",
                "cannot offer '{name}': {why}",
                "cannot hear from the wire: {why}",
            ];
            cause "The process that held the wire ended, or was ended, while this one used it. Its own last line has the reason; for 'status', it did not answer within 5 s.";
            remedy "Look at 'journalctl -u hardline-link@NAME' or its stderr; start it again.";
        CONTROL_FOREIGN = "control-foreign", Exit::Port;
            says ["cannot use {socket}: whoever listens there is no 'hardline link': {why}", "cannot understand the wire's answer: {why}"];
            cause "The socket belongs to another program, or to a 'hardline link' of another version or one that hangs.";
            remedy "Give the path that 'hardline link' has behind --control; a socket that is the wire itself is written unix:PATH.";
        CONTROL_TAKEN = "control-taken", Exit::Failed;
            says ["another 'hardline link' holds the control socket {socket}; end that one or choose another path"];
            cause "Somebody listens at the path of --control.";
            remedy "End that one, or give each wire a socket of its own.";
        CONTROL_UNMADE = "control-unmade", Exit::Failed;
            says ["cannot make the control socket {socket}: {why}"];
            cause "The folder of --control is not there or may not be written, the path is longer than 107 bytes, a file stands there that is no socket, or --control-group names no group, or one that this account is not in.";
            remedy "Take a short path in a folder of yours, such as /run/hardline/NAME.sock (RuntimeDirectory=hardline in a unit). 'getent group' lists groups; in a unit SupplementaryGroups=GROUP.";
        FORWARD_LISTEN = "forward-listen", Exit::Failed;
            says ["cannot listen for --forward {forward}: {why}"];
            cause "Another program listens at that address or path, the address is not of this machine, or ports below 1024 need root.";
            remedy "'ss -ltnp' names who listens; take another port or path.";
    }

    notices {
        ACCEPT_FAILED = "accept-failed";
            says ["cannot accept a connection at {where}: {why}; trying again"];
            cause "A local program connected, and the kernel gave no descriptor for it: mostly too many open files. It is tried again every 100 ms.";
            remedy "End connections that hang, or raise 'ulimit -n' (LimitNOFILE= in a unit).";
        SERVICE_ENDED = "service-ended";
            says ["service '{name}' ({target}) ended with exit code {n}", "service '{name}' ({target}) was ended by signal {n}"];
            cause "A command of this end's --service ended with an error. The far user was told.";
            remedy "The exit code is the command's own; run it by hand under the same account.";
        WAITING = "waiting";
            says ["waiting: {why}"];
            cause "A client of 'hardline link' waits for more than 3 s because the wire does not work at present; the reason stands there.";
            remedy "Mend what it says; the command goes on by itself. Ctrl-C gives up.";
        WAITED = "waited";
            says ["waiting no longer"];
            cause "What a client of 'hardline link' waited for, as a line before says, is over: the wire works again.";
            remedy "Nothing is to be done.";
    }
}
