//! The migration files are part of the program: a changed one builds it anew.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
