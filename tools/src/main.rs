//! The command `hardline`.

use std::process::ExitCode;

use tools::cli::{Cli, Command};
use tools::error::{Doing, Failure, kinds};
use tools::{cmd, config, lent, log, signal};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().collect();
    log::foresee(&words);
    match config::read(words).and_then(|cli| run(&cli)) {
        Ok(code) => code,
        Err(failure) => {
            tracing::debug!("exit {}", failure.exit.code());
            log::last_words(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Failure> {
    log::init(&cli.common);
    if cli.command.uses_our_terminal()
        && let Some(code) = lent::keep()?
    {
        return Ok(ExitCode::from(code));
    }
    run_command(cli).map(|()| ExitCode::SUCCESS)
}

fn run_command(cli: &Cli) -> Result<(), Failure> {
    tools::guard::enable();
    signal::outlive_file_limit().doing(kinds::SYSTEM, || "listen to signals".into())?;
    match &cli.command {
        Command::Demo(args) => cmd::demo::run(&cli.common, args),
        Command::Sim(args) => cmd::sim::run(&cli.common, args),
        Command::Pipe(args) => cmd::pipe::run(&cli.common, args),
        Command::Link(args) => cmd::link::run(&cli.common, args),
        Command::Open(args) => cmd::open::run(&cli.common, args),
        Command::Send(args) => cmd::send::run(&cli.common, args),
        Command::Recv(args) => cmd::recv::run(&cli.common, args),
        Command::Console(args) => cmd::console::run(&cli.common, args),
        Command::Status(args) => cmd::status::run(args),
        Command::Test(args) => cmd::test::run(&cli.common, args),
        Command::Ports(args) => cmd::ports::run(&cli.common, args),
        Command::Check(args) => cmd::check::run(args),
        Command::Explain(args) => cmd::explain::run(args),
        Command::Guard => {
            tools::guard::run();
            Ok(())
        }
        Command::Diode(command) => cmd::diode::run(&cli.common, command),
        Command::Keygen(args) => cmd::keygen::run(&cli.common, args),
        Command::Key(command) => cmd::key::run(&cli.common, command),
    }
}
