//! Two proofs that the cores need no operating system.
//!
//! The better one builds them for a target that has none: there is no standard library to be found. Where that target
//! is not installed and cannot be, the cores are linked into a program that brings its own panic handler: should
//! anything below them use the standard library, there are two of them, and the compiler refuses. (A wasm target would
//! prove nothing, sockets and clocks compile there.)

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::tools;

/// A target without an operating system.
const TARGET: &str = "x86_64-unknown-none";

/// Builds the cores for [`TARGET`], each by itself, so that none lives on features that another switched on.
pub(crate) fn bare_target(cores: &[&str]) -> Result<String> {
    if !has_target() {
        println!("purity: {TARGET} is not installed, adding it");
        let mut add = Command::new("rustup");
        add.current_dir(tools::root()).args(["target", "add", TARGET]);
        if let Err(error) = tools::show_and_run(&mut add) {
            println!("purity: {error:#}; giving the other proof");
            return linked(cores);
        }
    }
    for core in cores {
        tools::show_and_run(tools::cargo().args([
            "build",
            "--quiet",
            "--package",
            core,
            "--target",
            TARGET,
        ]))?;
    }
    Ok(format!("cores built for {TARGET}"))
}

/// Whether the compiler that cargo uses has a core library for the target.
fn has_target() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let mut command = Command::new(rustc);
    command.current_dir(tools::root()).args(["--print", "target-libdir", "--target", TARGET]);
    tools::output(&mut command).is_ok_and(|folder| Path::new(folder.trim()).is_dir())
}

/// Links the cores into a program of their own without the standard library.
pub(crate) fn linked(cores: &[&str]) -> Result<String> {
    let folder = tools::root().join("target/purity");
    write_program(&folder, cores).with_context(|| folder.display().to_string())?;
    let manifest = folder.join("Cargo.toml");
    let target_folder = folder.join("target");
    let mut build = tools::cargo();
    build.args(["build", "--quiet", "--manifest-path"]).arg(&manifest);
    build.arg("--target-dir").arg(&target_folder);
    tools::show_and_run(&mut build)?;
    let program = target_folder.join("debug/purity");
    if !tools::works(&mut Command::new(&program)) {
        bail!("{} was linked but does not run", program.display());
    }
    Ok("cores linked into a program without the standard library".to_owned())
}

fn write_program(folder: &Path, cores: &[&str]) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    let crates = tools::root().join("crates");
    let lines = |line: &dyn Fn(&str) -> String| cores.iter().map(|c| line(c)).collect::<String>();
    let dependencies = lines(&|core| format!("{core} = {{ path = {:?} }}\n", crates.join(core)));
    let uses = lines(&|core| format!("use {core} as _;\n"));
    fs::write(folder.join("Cargo.toml"), format!("{MANIFEST}{dependencies}"))?;
    fs::write(folder.join("src/main.rs"), format!("{PROGRAM}{uses}"))?;
    // The same versions as the workspace's, and none from the network.
    fs::copy(tools::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}

const MANIFEST: &str = r#"[package]
name = "purity"
version = "0.0.0"
edition = "2024"

[workspace]

[profile.dev]
panic = "abort"

[dependencies]
"#;

/// The personality routine is named by the precompiled core library and never called when panics abort.
const PROGRAM: &str = r#"//! Written by `cargo xtask purity`: links only if nothing below needs the standard library.
#![no_std]
#![no_main]

#[link(name = "c")]
unsafe extern "C" {}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

struct Nothing;

unsafe impl core::alloc::GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: core::alloc::Layout) -> *mut u8 {
        core::ptr::null_mut()
    }
    unsafe fn dealloc(&self, _: *mut u8, _: core::alloc::Layout) {}
}

#[global_allocator]
static NOTHING: Nothing = Nothing;

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn main(_: i32, _: *const *const u8) -> i32 {
    0
}

"#;
