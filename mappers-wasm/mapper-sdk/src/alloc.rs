//! A bump allocator: an instance lives for one call, so nothing needs to be given back.
//!
//! Invariants: memory is handed out upwards from `__heap_base`, each block once, but for the newest block, which can
//! grow, shrink and be freed in place (that is what a `Vec` being filled does). There is one thread. When
//! `memory.grow` fails, `alloc` returns null, which Rust turns into a trap.
#![expect(unsafe_code, reason = "a global allocator hands out raw memory")]

use core::alloc::{GlobalAlloc, Layout};
use core::arch::wasm32::{memory_grow, memory_size};
use core::cell::UnsafeCell;
use core::ptr::{copy_nonoverlapping, null_mut};

const PAGE_BYTES: usize = 65_536;

#[global_allocator]
static BUMP: Bump = Bump(UnsafeCell::new(State { next: 0, end: 0 }));

unsafe extern "C" {
    /// First address after the stack and the data, laid down by the linker.
    static __heap_base: u8;
}

/// Addresses: the first free byte, and the end of the memory that is there. Both 0 before the first call.
struct State {
    next: usize,
    end: usize,
}

struct Bump(UnsafeCell<State>);

// SAFETY: the module is built without the threads proposal, and the host refuses shared memories.
unsafe impl Sync for Bump {}

impl State {
    /// Whether memory reaches `end`, after growing it when it did not.
    fn reach(&mut self, end: usize) -> bool {
        if end <= self.end {
            return true;
        }
        if self.end == 0 {
            self.end = memory_size::<0>() * PAGE_BYTES;
            return self.reach(end);
        }
        // At least a half more, so that a growing heap needs few calls.
        let need = (end - self.end).div_ceil(PAGE_BYTES);
        let wish = need.max(self.end / PAGE_BYTES / 2);
        for pages in [wish, need] {
            if memory_grow::<0>(pages) != usize::MAX {
                self.end += pages * PAGE_BYTES;
                return true;
            }
        }
        false
    }
}

// SAFETY: blocks lie between `__heap_base` and the end of memory, are aligned as asked, and never overlap, since `next`
// only moves back over the newest block when that block itself is freed or shrunk.
unsafe impl GlobalAlloc for Bump {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: one thread, and no reference outlives a call.
        let state = unsafe { &mut *self.0.get() };
        if state.next == 0 {
            state.next = (&raw const __heap_base).addr();
        }
        let Some(start) = state.next.checked_next_multiple_of(layout.align()) else { return null_mut() };
        let Some(end) = start.checked_add(layout.size()) else { return null_mut() };
        if end > state.end && !state.reach(end) {
            return null_mut();
        }
        state.next = end;
        start as *mut u8
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        if block.addr() + layout.size() == state.next {
            state.next = block.addr();
        }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let state = unsafe { &mut *self.0.get() };
        if block.addr() + layout.size() == state.next {
            let Some(end) = block.addr().checked_add(new_size) else { return null_mut() };
            if end > state.end && !state.reach(end) {
                return null_mut();
            }
            state.next = end;
            return block;
        }
        if new_size <= layout.size() {
            return block;
        }
        // SAFETY: `layout.align()` is a valid alignment, and the caller keeps `new_size` within `isize`.
        let moved = unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are live, distinct, and at least `layout.size()` long.
            unsafe { copy_nonoverlapping(block, moved, layout.size()) };
        }
        moved
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout, handed on.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // A freed newest block may be handed out again, so its bytes are not always zero.
            // SAFETY: `block` is `layout.size()` long.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }
}
