//! The command line and the configuration file.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "The command line"

    failures {
        USAGE = "usage", Exit::Usage;
            says [
                "error: {what is wrong with a flag or an argument}",
                "--interval goes with --watch or --metrics",
                "nothing to send: name files (or -), --watch DIR, --stream or --lines",
                "--name is for stdin: it goes with -",
                "the two ends need two paths: {flag} and {flag} are the same",
                "with stdio: as the wire, pipe needs a command: hardline pipe stdio: -- CMD",
                "KEY is one file, or hardline-pub-1 BASE64",
                "the credential {name} needs {name} beside it (LoadCredential= in the unit), or name the keys",
                "the credentials hardline.key and hardline.psk are both there: take one away, or name the one to use (--key, --psk)",
                "keygen - writes the key itself to stdout, where --json would write what is public of it",
            ];
            cause "An unknown flag, a value that cannot be read or is out of its range, something that is missing, or flags that exclude each other. Nothing was opened.";
            remedy "'hardline COMMAND --help' has every flag and examples. A word that begins with a dash and is none of the flags goes behind --.";
        ALSO_IMPOSSIBLE = "also-impossible", Exit::Usage;
            says [
                "a link has at most {n} ports, these are {n}",
                "{port} cannot be one of several ports",
                "--also {port} is the same port as {other}: name each one once",
                "{path} is a control socket, and --also goes with ports: give it to 'hardline link'",
            ];
            cause "The ports of --also cannot make one link: too many, stdio: among them, the same one twice (by whatever names), or a control socket in the place of a port.";
            remedy "Name each port once, up to 8. Clients of a 'hardline link' need no --also: that has it.";
        NO_TERMINAL = "no-terminal", Exit::Usage;
            says [
                "--watch draws on a terminal, and stdout is none; use --json or --metrics FILE",
                "--watch draws on a terminal, and this one is dumb (TERM); use --json or --metrics FILE",
            ];
            cause "The output of 'status --watch' goes to a file or a pipe, or TERM says that the terminal cannot move its cursor.";
            remedy "Take --watch away; --json is for scripts, --metrics FILE for Prometheus.";
        CONFIG_UNREADABLE = "config-unreadable", Exit::Failed;
            says ["cannot read the configuration {file}: {why}"];
            cause "The file of --config is not there, or may not be read. A NAME without a slash that does not end in .toml is /etc/hardline/NAME.toml.";
            remedy "Compare the path in the message with where the file is, and its permissions with your account (or that of the unit: User=).";
        CONFIG_WRONG = "config-wrong", Exit::Usage;
            says ["{file}:{line}:{column}: {why}", "cannot read the configuration {file}: it is larger than 1 MB; is it the right file?"];
            cause "A key that is no flag of its command, a value that the flag does not take, or no TOML at that place.";
            remedy "Mend it at the line and column; 'hardline check FILE' tries it without opening the port. Keys are the long names of the flags without --.";
        NO_SUCH_CODE = "no-such-code", Exit::Usage;
            says ["{code} is no exit code of hardline's", "there is no code '{code}'"];
            cause "'explain' was asked for a number that hardline does not end with, or for words that no message has. The command behind -- of 'pipe' may have exit codes of its own.";
            remedy "Copy what stands in brackets at the end of the line, or some words of it; 'hardline explain' alone lists all.";
        NO_STATE_FOLDER = "no-state-folder", Exit::Usage;
            says ["neither XDG_STATE_HOME nor HOME is set: give --state DIR"];
            cause "A sealed one-way session has to remember its number, and the environment does not say where (a unit without User=, cron).";
            remedy "Give --state DIR, a folder that stays; in a unit StateDirectory=hardline and --state ${STATE_DIRECTORY}.";
        SERVICE_TWICE = "service-twice", Exit::Usage;
            says ["two services are called '{name}'"];
            cause "Two --service of one 'hardline link' have the same NAME, by which the peer asks for them.";
            remedy "Give one of them another name.";
        SERVICE_MISNAMED = "service-misnamed", Exit::Usage;
            says ["'{name}' is no name of a service: 1 to 32 letters, digits, -, _ or ."];
            cause "A client offered a service under a name that cannot be asked for.";
            remedy "Use 1 to 32 letters, digits, -, _ or . as its name.";
        SERVICE_UNSEALED = "service-unsealed", Exit::Usage;
            says ["services need --key FILE or --psk FILE, so that only the peer can use them; --plain offers them to whoever has the wire"];
            cause "'link' was to offer services on a wire without keys: whoever is joined to the wire could use them.";
            remedy "'hardline keygen FILE' makes a key ('--help' says how both ends get theirs); --plain only where the cable itself is guarded.";
        FORWARD_TWICE = "forward-twice", Exit::Usage;
            says ["--forward {one} and --forward {other} would listen at the same place"];
            cause "Two --forward of one 'hardline link' have the same address or path.";
            remedy "Give one of them another port or path.";
        NAME_TWICE = "name-twice", Exit::Usage;
            says ["two of the files would be called '{name}' at the other end"];
            cause "'send' puts each FILE under its last name into the far folder, and two have the same.";
            remedy "Send them one after the other into different folders, or send the folder they are in.";
        NAMELESS = "nameless", Exit::Usage;
            says ["{file} has no name to send it by"];
            cause "The path ends in .. or is /, so that it has no last name.";
            remedy "Name the folder itself, such as /srv instead of /srv/data/..";
    }

    notices {}
}
