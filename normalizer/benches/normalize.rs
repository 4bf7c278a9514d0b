//! What making an envelope costs, beside what writing it as JSON costs.

fn main() {
    divan::main();
}
