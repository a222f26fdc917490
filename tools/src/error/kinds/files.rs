//! File transfer between two ends.

use super::{Area, Entry, Exit, Kind, area};

area! {
    "File transfer"

    failures {
        NOTHING_TO_SEND = "nothing-to-send", Exit::Failed;
            says ["there is nothing to send"];
            cause "None of the files that were named is there and can travel; each has its reason in the line: it is not there, may not be read, or is a pipe, a socket or a device.";
            remedy "Compare the names with 'ls -l'. A link leads to what it names; that has to be there.";
        TOO_MANY_FILES = "too-many-files", Exit::Failed;
            says ["these are more than 4 billion files"];
            cause "The numbers of files in one transfer have 32 bits.";
            remedy "Send the folders one after the other.";
        FILES_FAILED = "files-failed", Exit::Failed;
            says ["{n} of the files and folders could not be delivered"];
            cause "Single files could not be read here or written there; a line before names each and says why. All others arrived and were verified.";
            remedy "Mend what the lines say (permissions, room on the disk) and run the same command again: what is there is not sent twice.";
        TRANSFER_BROKEN = "transfer-broken", Exit::Lost;
            says ["the other end went away before the transfer was over"];
            cause "The far 'send' or 'recv' ended, or was ended, in the middle.";
            remedy "Run both again; what came is kept in the folder, and they go on there.";
        TRANSFER_GARBLED = "transfer-garbled", Exit::Refused;
            says ["the other end sends what is no file transfer", "the other end breaks the protocol of file transfer: {what}"];
            cause "The service 'files' at the other end is no 'hardline recv', or what connected there is no 'hardline send'.";
            remedy "Let 'hardline recv' offer the service; do not offer a --service files=.. of your own.";
        FOLDER_UNUSABLE = "folder-unusable", Exit::Failed;
            says ["cannot put files into {folder}: {why}", "cannot keep what is not whole in {folder}: {why}"];
            cause "The folder of --out or --state cannot be made or written, or another receiver uses it.";
            remedy "Give a folder of yours on a disk with room; one receiver each.";
    }

    notices {
        FILE_FAILED = "file-failed";
            says ["{file}: {why}"];
            cause "This one file could not be read here, or changed while it was sent, or could not be written at the other end; the reason says which. The transfer goes on, and ends with 1.";
            remedy "Mend what it says and run the same command again.";
        FILE_SKIPPED = "file-skipped";
            says ["skipped {file}: {what}"];
            cause "Links, sockets, pipes and devices inside of folders do not travel, and do not change how the command ends.";
            remedy "Nothing; to send what a link points to, name that.";
    }
}
