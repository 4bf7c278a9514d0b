//! The program with the adapters that are built in.

fn main() -> std::process::ExitCode {
    patchbay_gateway::main(patchbay_adapters::ALL)
}
