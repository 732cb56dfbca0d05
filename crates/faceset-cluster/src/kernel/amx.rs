//! The AMX int8 kernel: 16 by 16 dot products an instruction.
//!
//! Rust has no stable intrinsics for tiles, so the block is written in
//! assembly. Tiles 0 to 3 hold 32 by 32 sums, 4 and 5 two times 16 rows, 6 and
//! 7 two groups of 16 columns.

#![allow(
    unsafe_code,
    reason = "tile instructions; 3 to 4 times the AVX512 kernel where they exist"
)]

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count};
use std::sync::OnceLock;

use super::{Block, GROUP, Kernel, Line, SIDE, avx, column_blocks};

/// Only `detect` makes one, after the processor and the kernel agreed.
#[derive(Debug)]
pub(super) struct Amx(());

impl Amx {
    pub(super) fn detect() -> Option<&'static dyn Kernel> {
        static USABLE: OnceLock<bool> = OnceLock::new();
        USABLE.get_or_init(usable).then_some(&Self(()) as _)
    }
}

/// Whether tiles and the vector instructions used beside them can run.
fn usable() -> bool {
    if !cfg!(target_os = "linux") || !is_x86_feature_detected!("avx512f") || __cpuid(0).eax < 7 {
        return false;
    }
    // CPUID leaf 7: EDX bit 24 AMX-TILE, bit 25 AMX-INT8.
    let features = __cpuid_count(7, 0).edx;
    features & (3 << 24) == 3 << 24 && request_tile_state()
}

/// Asks Linux to let this process use tile state (off by default because it
/// makes signal frames and thread switches larger).
fn request_tile_state() -> bool {
    /// `arch_prctl` on x86-64 Linux, its request for a state component, and the
    /// component of tile data.
    const ARCH_PRCTL: i64 = 158;
    const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
    const XFEATURE_XTILEDATA: i64 = 18;
    let result: i64;
    // SAFETY: the call reads two integers and touches no memory of ours; the
    // kernel clobbers rcx and r11 as declared. An old kernel answers EINVAL.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => result,
            in("rdi") ARCH_REQ_XCOMP_PERM,
            in("rsi") XFEATURE_XTILEDATA,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

/// The shape of the eight tiles: 16 rows of 64 bytes each.
#[repr(C, align(64))]
struct TileShapes {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

static SHAPES: TileShapes = TileShapes {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_per_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

/// Tile state of this thread; given back also when a sink panics.
struct Tiles(());

impl Tiles {
    /// # Safety
    /// Tiles must be usable ([`usable`]).
    unsafe fn configure() -> Self {
        // SAFETY: SHAPES is the 64-byte structure that the instruction reads.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const SHAPES, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: a `Tiles` exists only where tiles are usable.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

impl Kernel for Amx {
    fn sweep(
        &self,
        rows: &[Line],
        columns: &[Line],
        k_lines: usize,
        sink: &mut dyn FnMut(usize, &Block),
    ) {
        let n_blocks = column_blocks(rows, columns, k_lines);
        if k_lines == 0 {
            return;
        }
        // SAFETY: `detect` made sure that tiles are usable.
        let tiles = unsafe { Tiles::configure() };
        let mut block = Block::ZERO;
        for at in 0..n_blocks {
            let panel = &columns[at * 2 * GROUP * k_lines..][..2 * GROUP * k_lines];
            // SAFETY: tiles are configured on this thread; `rows` holds 32
            // rows and `panel` two groups of `k_lines`.
            unsafe { block_32x32(&tiles, rows, panel, k_lines, &mut block) };
            sink(at, &block);
        }
    }

    fn masks(&self, block: &Block, add: &[i32; SIDE], least: &[i32; SIDE]) -> [u32; SIDE] {
        // SAFETY: `detect` has found AVX512F.
        unsafe { avx::masks_avx512(block, add, least) }
    }
}

/// # Safety
/// `rows` must hold 32 rows and `panel` two groups of `k_lines` each, and
/// `k_lines` must not be 0.
unsafe fn block_32x32(
    _configured: &Tiles,
    rows: &[Line],
    panel: &[Line],
    k_lines: usize,
    block: &mut Block,
) {
    let upper = rows.as_ptr();
    let left = panel.as_ptr();
    // SAFETY: offsets stay inside the slices by the contract above: a tile is
    // 16 rows `k_lines` lines apart, or 16 neighbouring lines of a group. The
    // block is 32 rows of 128 bytes. Only tile registers and the named ones
    // change.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "tileloadd tmm4, [{a} + {stride}*1]",
            "tileloadd tmm6, [{b} + {line}*1]",
            "tileloadd tmm7, [{b2} + {line}*1]",
            "tdpbusd tmm0, tmm4, tmm6",
            "tileloadd tmm5, [{a2} + {stride}*1]",
            "tdpbusd tmm1, tmm4, tmm7",
            "tdpbusd tmm2, tmm5, tmm6",
            "tdpbusd tmm3, tmm5, tmm7",
            "add {a}, 64",
            "add {a2}, 64",
            "add {b}, 1024",
            "add {b2}, 1024",
            "dec {k}",
            "jnz 2b",
            "tilestored [{c} + {out_row}*1], tmm0",
            "tilestored [{c} + {out_row}*1 + 64], tmm1",
            "tilestored [{c} + {out_row}*1 + 2048], tmm2",
            "tilestored [{c} + {out_row}*1 + 2112], tmm3",
            a = inout(reg) upper => _,
            a2 = inout(reg) upper.add(16 * k_lines) => _,
            b = inout(reg) left => _,
            b2 = inout(reg) left.add(GROUP * k_lines) => _,
            c = in(reg) block.0.as_mut_ptr(),
            k = inout(reg) k_lines => _,
            stride = in(reg) 64 * k_lines,
            line = in(reg) 64usize,
            out_row = in(reg) 128usize,
            out("tmm0") _,
            out("tmm1") _,
            out("tmm2") _,
            out("tmm3") _,
            out("tmm4") _,
            out("tmm5") _,
            out("tmm6") _,
            out("tmm7") _,
            options(nostack),
        );
    }
}
