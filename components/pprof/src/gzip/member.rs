//! One gzip member through libdeflate: the only unsafe code of this crate.

#![expect(
    unsafe_code,
    reason = "libdeflate is C; the safe wrapper does not tell how much input it read"
)]

use std::ptr::NonNull;

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_SUCCESS,
};

/// The tables of a decompressor, about 30 KiB.
pub(super) struct Decompressor(NonNull<libdeflate_decompressor>);

/// What became of a member.
pub(super) enum Outcome {
    /// Inflated, checksum and size are right.
    Done { consumed: usize, written: usize },
    /// Damaged, cut short, or larger than the output.
    Failed,
}

// SAFETY: the decompressor is plain memory without ties to a thread, owned by this value alone.
unsafe impl Send for Decompressor {}

impl Decompressor {
    /// `None` if there is no memory left.
    pub(super) fn new() -> Option<Self> {
        // SAFETY: takes no arguments; a null pointer is mapped to `None`.
        NonNull::new(unsafe { libdeflate_alloc_decompressor() }).map(Self)
    }

    /// Inflates the first member of `input` into the beginning of `out`.
    pub(super) fn member(&mut self, input: &[u8], out: &mut [u8]) -> Outcome {
        let (mut consumed, mut written) = (0, 0);
        // SAFETY: the decompressor is alive and borrowed mutably; `input` is valid for reads and `out` for writes of the
        // given lengths, they do not overlap as one is borrowed mutably; the counters outlive the call.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                input.as_ptr().cast(),
                input.len(),
                out.as_mut_ptr().cast(),
                out.len(),
                &raw mut consumed,
                &raw mut written,
            )
        };
        if result == libdeflate_result_LIBDEFLATE_SUCCESS {
            Outcome::Done { consumed, written }
        } else {
            Outcome::Failed
        }
    }
}

impl Drop for Decompressor {
    fn drop(&mut self) {
        // SAFETY: allocated by `new`, and freed only here.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}
