//! This machine: input, output, commands, files that are written along the way.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "This machine"

    failures {
        INPUT_FAILED = "input-failed", Exit::Failed;
            says ["cannot read the input: {why}", "cannot read stdin: {why}", "cannot read the keyboard: {why}"];
            cause "stdin cannot be read: it is a folder, a disk that fails, or a terminal that is gone. What was read before was sent, but the peer is told that it is not the whole.";
            remedy "See what is joined to stdin ('< FILE'), and run it again.";
        OUTPUT_FAILED = "output-failed", Exit::Failed;
            says ["cannot write to stdout: {why}", "cannot write the output: {why}"];
            cause "stdout takes nothing more: the disk is full, or the program behind the pipe ended.";
            remedy "Make room, or let the reader read to the end.";
        OUTPUT_CLOSED = "output-closed", Exit::Lost;
            says [
                "cannot write the output: {why}; {n} bytes or more from the peer were not delivered",
                "cannot write the output: {why}; what came from the peer may be missing there",
                "the output was closed before it had everything",
            ];
            cause "The program that reads stdout (or the local connection) ended before it had read everything that the peer sent. The peer is told.";
            remedy "Let the reader read to the end ('head' does not).";
        OUTPUT_UNWRITABLE = "output-unwritable", Exit::Lost;
            says [
                "cannot write the output: {why}; {n} bytes or more from the peer were not delivered",
                "cannot write the output: {why}; what came from the peer may be missing there",
            ];
            cause "The file or device behind stdout takes nothing more, or could not be put on its disk at the end: it is full, over a quota or a limit of size, fails, or its server is gone. The peer is told.";
            remedy "Mend what the reason says (room, quota, 'ulimit -f', the server), and run it again: what stands in the file is not the whole.";
        STDIO_CLOSED = "stdio-closed", Exit::Failed;
            says ["cannot use stdin: {why}", "cannot use stdout: {why}"];
            cause "hardline was started with stdin or stdout closed (<&- or >&-), or there are no descriptors left.";
            remedy "Join them to /dev/null instead of closing them.";
        COMMAND_UNSTARTED = "command-unstarted", Exit::Failed;
            says ["cannot run '{command}': {why}"];
            cause "The command behind -- is not there, not in PATH, or may not be run.";
            remedy "Try it by hand; write its whole path.";
        COMMAND_FAILED = "command-failed", Exit::Failed;
            says ["'{command}' ended with {status}; everything it sent was delivered", "the command was killed by signal {n}", "cannot wait for '{command}': {why}", "cannot wait for the command: {why}"];
            cause "The command behind -- ended with an error or was killed. Everything it wrote before was delivered, unless it was killed: then the peer is told that it is not the whole.";
            remedy "The status is the command's own: see its manual and its stderr.";
        STATS_UNWRITABLE = "stats-unwritable", Exit::Failed;
            says ["cannot write statistics to {file}: {why}", "cannot write metrics to {file}: {why}"];
            cause "The file of --stats or --metrics cannot be made: its folder is not there or may not be written. It is tried before anything is sent.";
            remedy "Make the folder, or name another file.";
        STATS_ELSEWHERE = "stats-elsewhere", Exit::Usage;
            says ["--stats is for a wire of one's own: {socket} is held by 'hardline link', whose 'hardline status {socket} --json' has its figures"];
            cause "PORT is a control socket: 'hardline link' holds the wire and counts what it carries for all its users.";
            remedy "Take --stats away here, and give it to 'hardline link', or ask 'hardline status SOCKET --json'.";
        LOG_UNWRITABLE = "log-unwritable", Exit::Failed;
            says ["cannot write the log {file}: {why}", "the log is not whole: {why}"];
            cause "The file of 'console --log' cannot be opened, or the disk became full; the console went on.";
            remedy "Make room, or name another file. What was shown before is in it.";
        REPORT_UNWRITABLE = "report-unwritable", Exit::Failed;
            says ["cannot open the report {file}: {why}", "cannot write the report: {why}", "cannot write {file}: {why}"];
            cause "The file of --report, or of 'test --plot', cannot be made (its folder is not there or may not be written), or could not be written to its end: lines are missing in it. A pipe is waited for, up to 1 MB of lines and 1 s at the end.";
            remedy "Make the folder, or name another file; read the pipe.";
        TERMINAL_FAILED = "terminal-failed", Exit::Failed;
            says ["the terminal is gone", "cannot set the terminal: {why}", "cannot use the terminal: {why}", "cannot restore the terminal: {why}", "cannot draw: {why}"];
            cause "The terminal that 'console' or 'status --watch' runs on was closed, or cannot be set.";
            remedy "Run it again in a terminal; 'reset' mends one that is left in a wrong mode.";
        SYSTEM = "system", Exit::Failed;
            says [
                "cannot wait for input: {why}",
                "cannot listen to signals: {why}",
                "cannot make a pair of sockets: {why}",
                "cannot make pipes: {why}",
                "cannot start a thread: {why}",
                "cannot wait for a sender: {why}",
                "cannot start the wire: {why}",
                "cannot start the process that uses the terminal: {why}",
                "cannot wait for the process that uses the terminal: {why}",
                "cannot ask for a console: {why}",
                "cannot draw a random session id: {why}",
                "cannot draw a random number: {why}",
                "cannot draw random bytes for a key: {why}",
                "cannot simulate the wire: {why}",
                "the wire broke down",
            ];
            cause "The operating system refused something that every program needs: descriptors, memory, processes, a writable TMPDIR, random numbers.";
            remedy "Look at the reason: 'ulimit -a', 'df -h /tmp', 'dmesg'. 'the wire broke down' is a fault of hardline's: please report it with what stands before it.";
        DEMO_FAILED = "demo-failed", Exit::Failed;
            says [
                "cannot find this program: {why}",
                "cannot start the simulated wire: {why}",
                "cannot start the one-way wire: {why}",
                "cannot start hardline {command}: {why}",
                "cannot wait for hardline pipe: {why}",
                "cannot write {file}: {why}",
                "cannot read {what}: {why}",
                "hardline pipe on end {end} ended with {status}",
            ];
            cause "The demonstration could not start its processes, write to its temporary folder (TMPDIR, some 10 MB), or one of its processes was ended.";
            remedy "See that TMPDIR can be written and has room, and that nothing ended the processes; then run it again.";
        DEMO_DIFFERS = "demo-differs", Exit::Failed;
            says ["the file through the diode differs: please report this", "the file from {end} to {end} differs: please report this"];
            cause "A file arrived otherwise than it was sent. That must not happen: it is a fault of hardline's.";
            remedy "Please report it with the command line (--seed repeats the same noise).";
    }

    notices {
        LINES_LOST = "lines-lost";
            says ["1 line is missing here: nobody took what is written to stderr", "{n} lines are missing here: nobody took what is written to stderr"];
            cause "stderr is a pipe that nobody read for a while, or a terminal that was stopped (Ctrl-S). The wire does not wait for that: lines for which there was no room were left out.";
            remedy "Read stderr, send it to a file or the journal, or start the terminal again (Ctrl-Q); with less -v there is less to read.";
        COMMAND_RUNS = "command-runs";
            says ["everything was delivered, but '{command}' has not ended; waiting for it (Ctrl-C ends it)"];
            cause "The command behind -- has had the end of its input for 5 s and goes on. How it ends is part of the outcome of pipe: it may yet fail to store what it was given.";
            remedy "Wait, or end it: SIGINT and SIGTERM end pipe and its command. One that is to outlive pipe is started by a service manager, or with setsid and & behind it.";
    }
}
