//! The one-way mode.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "One way"

    failures {
        INCOMPLETE = "incomplete", Exit::Incomplete;
            says ["one thing is missing, see above and --report", "{n} things are missing, see above and --report", "{n} bytes of the stream are missing, see above and --report"];
            cause "More was lost on the wire than repair symbols could make good, or the receiver was started late. A line before names each file, message or line that is missing, and says whether noise, silence or an overrun took it.";
            remedy "Send what is named once more with 'recv --state DIR', which keeps what came; give the sender more --rounds or --overhead, a harsher --profile or a longer --survive. After an overrun: a faster machine, or a lower --rate.";
        NOTHING_CAME = "nothing-came", Exit::Incomplete;
            says ["no {file, line or stream} came: the session had {what}", "no session came: nothing that arrived was of a sender of hardline's"];
            cause "The session was over without anything of what the receiver was to take: it had lines where files were wanted (--out), or the like. Or the input (a capture, a command) ended before any session was heard.";
            remedy "Start 'recv' as the sender was: --out DIR for files, --lines, --stream. A receiver that was started late waits for the next session with --forever.";
        STREAM_GAP = "stream-gap", Exit::Incomplete;
            says ["{n} bytes of the stream are lost from byte {n} on ({why})", "{n} bytes of the stream are lost from byte {n} on ({why}): too many to be filled with zeros"];
            cause "A piece of the stream was lost with all of its repair. With --on-gap fail (the default) nothing behind the gap is written; with --on-gap zero, nothing behind one of more than 1 GiB.";
            remedy "A longer --survive or more --overhead at the sender; --on-gap skip or zero goes on behind it.";
        HOOKS_FAILED = "hooks-failed", Exit::Failed;
            says ["'{command}' was not done for one file that was delivered, see above", "'{command}' was not done for {n} files that were delivered, see above"];
            cause "All files are whole and in their place, but the command of --exec failed for some of them, three times in 6 s or more. Each is named in a line before, and as 'hook' in the report.";
            remedy "Mend the command and start the receiver again: with --state it is run for the files it is owed to. Without, run it by hand.";
        SEALED_UNREADABLE = "sealed-unreadable", Exit::Refused;
            says ["{n} sealed frames came, and this receiver has no key: give --psk, or --key and --peer", "sealed frames come and cannot be read: give --psk, or --key and --peer"];
            cause "The sender has a key, the receiver none.";
            remedy "Give the receiver the same --psk, or its own --key and the sender's public key as --peer.";
        NOT_AUTHENTIC = "not-authentic", Exit::Refused;
            says [
                "nothing authentic came, but {n} frames that no key here opens: is it the sender's key?",
                "nothing authentic came, but {n} plain frames: the sender has no key",
                "frames come that no key here opens: are the keys those of the sender?",
                "frames come that no key here opens: somebody else sends on this line",
                "plain frames come and are not taken: the sender has no key, or somebody else sends on this line",
            ];
            cause "Frames arrive, but none could be believed: other keys, or a sender without one. Nothing of them was used.";
            remedy "Compare 'hardline key show FILE' at both ends; the sender's --peer is the receiver's public key, and the other way round.";
        NOTHING_NEW = "nothing-new", Exit::Refused;
            says ["nothing new came: it is a recording of what was received before"];
            cause "All frames were older than what this receiver remembers: somebody played a recording, or --state of the sender was put back to an older copy.";
            remedy "For a capture that is to be read again, give 'recv' another --state. A sender whose --state was lost goes on by its clock: set that.";
        NO_BEACON = "no-beacon", Exit::Refused;
            says ["{n} sealed frames came, and no beacon that says what they are"];
            cause "The receiver heard too short a piece of the session: the beacon that names it comes about once a second.";
            remedy "Start the receiver first, or let it listen longer.";
        LINE_FAILED = "line-failed", Exit::Failed;
            says ["cannot write to the line: {why}", "cannot wait for the line: {why}", "cannot set {n} baud: {why}"];
            cause "The port refused bytes or broke in the middle: an adapter that was unplugged, a command of exec: that ended, a network that took no datagram for a minute, or a transmitter that waits for CTS and holds back what it has.";
            remedy "See 'dmesg' and the adapter, or the route; run it again, with --wait where adapters are unplugged and networks go. A one-way port has no CTS: take the adapter's flow control off.";
        SOURCE_UNREADABLE = "source-unreadable", Exit::Failed;
            says [
                "cannot read {file}: {why}",
                "cannot send {file}: it is not a file",
                "cannot send {file}: its name is not UTF-8, and would arrive as another one",
                "cannot send {file}: its name is empty, has control characters or more than {n} bytes",
            ];
            cause "A file to send is not there, may not be read, is a folder, a pipe, a socket or a device, or it would not arrive under its name. Nothing was sent.";
            remedy "'ls -l' it; send a folder as an archive, what comes out of a pipe with '-', and a file with such a name under another one.";
        COPY_FAILED = "copy-failed", Exit::Failed;
            says ["cannot copy - to {folder}: {why}"];
            cause "'diode send -' sends stdin as one message whose size and hash go ahead: so all that is no file is copied to a temporary one (in TMPDIR, /tmp unless set) before anything is sent, and there is no room for it, or no file can be made there. Nothing was sent.";
            remedy "Name another folder ('TMPDIR=/var/tmp hardline diode send ..'). A file ('- < FILE', or FILE itself) needs no copy, and --stream copies nothing, which is for what is large or has no end.";
        NOT_ALL_SENT = "not-all-sent", Exit::Failed;
            says ["one file was not sent as it is, see above", "{n} files were not sent as they are, see above"];
            cause "A line before names each file and says why: its name cannot arrive, it could not be read, or somebody changed it while it was sent. All others were sent.";
            remedy "Mend what the lines say and send those files once more.";
        LINES_CUT = "lines-cut", Exit::Failed;
            says ["one line was longer than {n} bytes: its end was not sent", "{n} lines were longer than {n} bytes: their ends were not sent"];
            cause "'--lines' sends each line as one datagram, which has a longest length. Of longer lines the beginning was sent; the first few are named in lines before. All others were sent whole.";
            remedy "Write shorter lines, or send such data with --stream, which keeps lines of any length.";
        WATCH_FOLDER = "watch-folder", Exit::Failed;
            says ["cannot look into {folder}: {why}", "cannot make {folder}: {why}", "cannot move files to {folder}: it is on another file system"];
            cause "The folder of --watch cannot be read or written: files move to DIR/sending while they travel and to DIR/sent after that.";
            remedy "Give hardline's account the folder, with the right to write, all on one file system.";
        SPOOL_FAILED = "spool-failed", Exit::Failed;
            says ["cannot keep what came in {folder} (is the disk full?): {why}", "cannot put together what came, in {folder} for {folder}: {why}"];
            cause "What was received could not be written to --state or --out: mostly a full disk. What came of the session and is not whole is named before (cause `disk`), and what it told of and was not heard.";
            remedy "Make room ('df -h DIR') and start the receiver again: with --state it goes on with what it had.";
        STATE_FAILED = "state-failed", Exit::Failed;
            says ["cannot number a session in {file}: {why}", "cannot remember {what} in {folder}: {why}", "cannot number a transfer: {why}"];
            cause "Sealed sessions need a number that is never used twice, transfers go on under their own (in --state, or DIR/.transfers of --watch), and receivers remember how far they heard: the folder of --state (or ~/.local/state/hardline) cannot be read or written.";
            remedy "Give --state DIR, a folder of this account that stays over restarts.";
        SEAL_FAILED = "seal-failed", Exit::Failed;
            says ["cannot seal a session: {why}", "cannot draw random bytes for a session: {why}"];
            cause "The keys do not make a session (a public key that is no point of the curve), or the kernel has no random bytes yet.";
            remedy "See 'hardline key show FILE' of both keys; early at boot wait for the kernel's random numbers.";
    }

    notices {
        ENDED_BEFORE = "ended-before";
            says ["the end of a session came that began before this receiver; waiting for the next"];
            cause "A sender says several times that its session is over, apart in time. This receiver was started meanwhile, most likely after another one had taken the session.";
            remedy "None is needed. If the session should have been received here, start the receiver before the sender, or let it go on with --forever.";
        FILE_CHANGED = "file-changed";
            says ["{file} changed while it was sent: it cannot arrive whole", "{file} changed while it was sent; it is sent anew"];
            cause "Somebody wrote to the file, or put another in its place, after it had been announced with its SHA-256. What came of it is not taken at the other end.";
            remedy "Send a copy, or what is whole. With --watch write outside of the folder (or as .NAME) and rename it into there: that takes no time in which somebody could look.";
        FILE_UNSENT = "file-unsent";
            says ["{file} is not sent: {why}"];
            cause "It would not arrive under its name (not UTF-8, control characters, too long), or it cannot be read. All others are sent.";
            remedy "Rename it, or mend its permissions. In a watched folder it is looked at again once it has another name.";
        FILE_UNMOVED = "file-unmoved";
            says ["cannot take {file}: {why}; trying again", "cannot look into {folder}: {why}; trying again", "cannot make {folder}: {why}; trying again", "{file} was sent, and cannot be moved to {folder}: {why}; trying again, and the next start sends it again"];
            cause "Files of a watched folder move to DIR/sending while they travel and to DIR/sent after that, and at present that cannot be: the disk is full, the rights of the folder have changed, or another has its place. It is tried again every 5 s.";
            remedy "Mend what the reason says; nothing is lost meanwhile.";
        LEFT_ALONE = "left-alone";
            says ["{thing} is left alone: {why}", "{file} is whole now, and sent"];
            cause "In a watched folder only plain files are sent, when nobody writes them any more and their name does not begin with a dot. What is something else is told of once while it lies there; what may change by itself (a file that is written, a name with a dot) after 10 s. More than four lines one after the other are one a minute, with a count.";
            remedy "Send a folder as an archive, in the place of a link the file it leads to. Write outside of the folder, or as .NAME, and rename into it what is whole.";
        FOLDER_MADE = "folder-made";
            says ["{folder} is not there: it is made, and watched"];
            cause "The folder of --watch did not exist.";
            remedy "Nothing if it is the first start; else see whether the name is the one that files are put into.";
        LINE_CUT = "line-cut";
            says ["line {n} has {n} bytes: only the first {n} are sent"];
            cause "'--lines' sends each line as one datagram. Lines are counted from 0, as in the report of the receiver.";
            remedy "Write shorter lines, or use --stream.";
        LINE_SILENT = "line-silent";
            says ["the line is silent: no sign of the sender for three beacon periods"];
            cause "The cable is pulled, or the sender was ended or hangs. What is lost meanwhile is counted.";
            remedy "See to cable and sender. An outage within --survive loses nothing.";
        NETWORK_AWAY = "network-away";
            says ["{port}: nothing can be sent: {why}; trying again"];
            cause "Of a udp: port, the network takes no datagram at present: the route or the interface is gone (Network is unreachable), the queue is full (No buffer space available), nobody answers for the address (No route to host), or a firewall of this machine refuses (Operation not permitted). What is to be sent waits here; a minute, and with --wait as long as it takes.";
            remedy "See 'ip route get ADDRESS' and 'nft list ruleset'. The sender goes on by itself once something leaves.";
        NETWORK_BACK = "network-back";
            says ["{port}: sends again after {n} s, in which {n} tries failed"];
            cause "The network takes datagrams again, after it took none for a while. None of those that waited is lost.";
            remedy "Nothing; if it happens often, see to the interface and its address.";
        LINE_BACK = "line-back";
            says ["the line is back after {n} s", "{port}: frames of the sender come now, after {n} s"];
            cause "Frames of the sender come again, or for the first time after bytes that were none.";
            remedy "Nothing; at the end it is said if something is missing.";
        MISSING = "missing";
            says ["{what} is incomplete: {n} of {n} symbols came ({why})", "{n} objects were sent of which not even the name came ({why})", "of a session that broke off, {n} objects were sent of which not even the name came ({why})", "of a session that broke off, what came after {place} is missing ({why})", "the end of the session was not heard: what came after {place} is missing ({why})", "the sender could not go on: what was to come after {place} is missing", "the stream is not accepted: {why}", "line {n} is lost ({why})", "lines {n} to {n} are lost ({why})", "the first {n} bytes of the stream were sent before anything was heard (late)", "'{name}' is not accepted: {why}", "'{name}' did not come anew: {why}"];
            cause "This was sent and did not arrive whole. It is told once for each session that announced it, and what came of it is kept with --state. WHY is noise (damaged frames came), silence (none came), late (the sender had begun before anything of it was heard), gone (the port went away or the input ended), overrun (the driver had no room), sender (its input failed, or it was ended in the midst of it), disk (the receiver's takes nothing more) or gap (none of these: the sender was killed).";
            remedy "As for incomplete: send it once more, with more repair ('mv DIR/sent/NAME DIR/' of a watched folder). What has no name is told by its place in the session and the number of its transfer: at the sender 'grep NUMBER DIR/.transfers' (of --watch; DIR/diode-transfers of --state) has the name. Where the end was not heard, see whether cable, adapter and sender were there to the end; a port that may go away wants --wait.";
        END_UNHEARD = "end-unheard";
            says ["nothing of the session came for {n} s: it is over", "the end of the session was not heard; all that it announced is here", "the end of the session was not heard, and another one begins"];
            cause "The last beacons of a session, which say that it ends, did not come: the sender was ended, the cable pulled, or an outage took them. A session that is silent for --grace (60 s unless said) is over; what it lacks is named. Where another session begins, files that are not whole are waited for in it.";
            remedy "Nothing where all is here; else see whether the sender was ended. A longer --survive at the sender sets its last beacons further apart, a longer --grace at the receiver waits longer for what follows an outage.";
        BEGUN_ANEW = "begun-anew";
            says ["'{name}' is thrown away: {why}; waiting for it anew"];
            cause "All of a file came, but its SHA-256 is not the one that was announced (it changed while it was sent, or somebody altered it), or what was kept of it was removed from --out or --state, or had to give way (--quota, or more than 1024 files under way).";
            remedy "Nothing if the sender goes on (--rounds, or started again); what has not come anew when the session ends is named as missing.";
        SUPERSEDED = "superseded";
            says ["what came of an older '{name}' is thrown away: a newer one is whole", "'{command}' is not run for an older {file}: a newer one came"];
            cause "An earlier session announced a file and broke off, or --exec was not done for a file, and then another content came whole under its name: that is what --out has.";
            remedy "Nothing, if the newer one is all that matters; else have the sender send the older one under another name.";
        MARGIN_THIN = "margin-thin";
            says ["{name} needed {n} of {n} repair symbols: the margin is going"];
            cause "The file arrived whole, but more than half of what was sent to make losses good was needed.";
            remedy "Mend the wire, or give the sender more --overhead before something is lost.";
        REPLAY_REFUSED = "replay-refused";
            says ["a replay is refused: frames of session {n} of {sender} that are older than what was received (a recording, or a second sender)"];
            cause "Somebody plays back a recording, or two senders have the same key.";
            remedy "See who is on the line; give each sender a key of its own.";
        COPY_LARGE = "copy-large";
            says ["- is copied to {folder} before it is sent: {n} of the {n} that were free there are taken, and it goes on"];
            cause "What comes from stdin (-) is copied whole to a temporary file in TMPDIR (/tmp) before anything of it is sent, and half of what was free there is taken by now.";
            remedy "TMPDIR=FOLDER in front of the command takes one with more room; a file ('- < FILE', or FILE itself) needs no copy, and --stream sends at once.";
        HOOK_FAILED = "hook-failed";
            says ["'{command}' for {file} ended with {status}", "cannot run '{command}': {why}"];
            cause "The command of --exec ended with an error for this file, which is whole and stays where it is. It is run again after 1 s and 5 s; after that it counts as failed, and is run at the next start if there is a --state.";
            remedy "See what the command says; run it by hand with the path in the message.";
        LEFT_OUT = "left-out";
            says ["{n} more lines of this kind were left out: {kind}"];
            cause "A sender, or whoever holds the wire, causes so many lines that four are said, and then one a minute. What is missing is named in --report in full, 65,536 things of a session.";
            remedy "See to the first of them. --report has the counts, too.";
        STATE_OLD = "state-old";
            says ["{n} files in {folder} are of an earlier version, which knew no transfers: they are not used"];
            cause "Before version 2 of the one-way mode what was received was kept by the hash of its name and content. Such files say nothing of transfers.";
            remedy "Nothing must be done; remove them ('rm DIR/????????.*') when nothing older reads the folder.";
        REPORT_UNWRITTEN = "report-unwritten";
            says ["cannot write the report: {why}", "cannot open the report {file} anew: {why}; going on in the file that had its name"];
            cause "A line of --report could not be added, mostly because the disk is full: receiving goes on, and fails at its end with report-unwritable. Or the report was to be opened anew (SIGHUP, logrotate) and its folder may not be written by this account.";
            remedy "Make room; let logrotate make the new file for the account of the receiver (create), or give that the folder.";
        STATE_UNWRITTEN = "state-unwritten";
            says ["cannot remember {what} in {folder}: {why}"];
            cause "How far a sender was heard could not be noted; it is tried again, and once more at the end.";
            remedy "Make room, or mend the permissions of the folder.";
    }
}
