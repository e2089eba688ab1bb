//! The order in which Go's `sort.Slice` leaves equal elements.
//!
//! It is not stable, and what upstream makes of a profile depends on it: of stacks with equal ends it takes the one that
//! comes first. So this is the same pattern-defeating quicksort, step for step. The algorithm is that of the Go
//! project's package `sort` (BSD licence); its tests compare with what Go answers.

/// Parts up to this length are sorted by insertion.
const SHORT: usize = 12;
/// From this length on three medians of three are looked at.
const LONG: usize = 50;
/// As many swaps as `pivot` can make.
const ALL_SWAPS: u32 = 12;

/// Sorts as Go does. `less` must be a strict weak order.
pub(super) fn sort<T>(data: &mut [T], less: impl Fn(&T, &T) -> bool) {
    let end = data.len();
    let limit = bits(end);
    Sort { data, less }.quick(0, end, limit);
}

/// Digits of a number in base two.
const fn bits(number: usize) -> u32 {
    usize::BITS - number.leading_zeros()
}

struct Sort<'d, T, F> {
    data: &'d mut [T],
    less: F,
}

#[derive(PartialEq, Eq)]
enum Hint {
    Unknown,
    Increasing,
    Decreasing,
}

impl<T, F: Fn(&T, &T) -> bool> Sort<'_, T, F> {
    fn less(&self, one: usize, other: usize) -> bool {
        (self.less)(&self.data[one], &self.data[other])
    }

    /// Sorts a part. After `limit` bad pivots it becomes a heap sort, so the time is bounded.
    fn quick(&mut self, mut start: usize, mut end: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = end - start;
            if length <= SHORT {
                return self.insertion(start, end);
            }
            if limit == 0 {
                return self.heap(start, end);
            }
            if !balanced {
                self.scatter(start, end);
                limit -= 1;
            }
            let (mut pivot, mut hint) = self.pivot(start, end);
            if hint == Hint::Decreasing {
                self.data[start..end].reverse();
                pivot = (end - 1) - (pivot - start);
                hint = Hint::Increasing;
            }
            let seems_sorted = balanced && partitioned && hint == Hint::Increasing;
            if seems_sorted && self.few_steps(start, end) {
                return;
            }
            if start > 0 && !self.less(start - 1, pivot) {
                start = self.part_equal(start, end, pivot);
                continue;
            }
            let (middle, already) = self.part(start, end, pivot);
            partitioned = already;
            let (left, right) = (middle - start, end - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.quick(start, middle, limit);
                start = middle + 1;
            } else {
                self.quick(middle + 1, end, limit);
                end = middle;
            }
        }
    }

    fn insertion(&mut self, start: usize, end: usize) {
        for from in start + 1..end {
            self.shift_left(from, start);
        }
    }

    /// Moves an element left as long as it is less than its neighbour.
    fn shift_left(&mut self, mut at: usize, start: usize) {
        while at > start && self.less(at, at - 1) {
            self.data.swap(at, at - 1);
            at -= 1;
        }
    }

    fn heap(&mut self, start: usize, end: usize) {
        let length = end - start;
        for root in (0..length.div_ceil(2)).rev() {
            self.sift_down(start, root, length);
        }
        for last in (0..length).rev() {
            self.data.swap(start, start + last);
            self.sift_down(start, 0, last);
        }
    }

    fn sift_down(&mut self, start: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(start + child, start + child + 1) {
                child += 1;
            }
            if !self.less(start + root, start + child) {
                return;
            }
            self.data.swap(start + root, start + child);
            root = child;
        }
    }

    /// Puts elements less than the pivot before it. Its place, and whether they were there already.
    fn part(&mut self, start: usize, end: usize, pivot: usize) -> (usize, bool) {
        self.data.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        let mut already = true;
        loop {
            while low <= high && self.less(low, start) {
                low += 1;
            }
            while low <= high && !self.less(high, start) {
                high -= 1;
            }
            if low > high {
                break;
            }
            self.data.swap(low, high);
            (low, high) = (low + 1, high - 1);
            already = false;
        }
        self.data.swap(high, start);
        (high, already)
    }

    /// Puts elements equal to the pivot before the greater ones, where none is less. Where the greater ones begin.
    fn part_equal(&mut self, start: usize, end: usize, pivot: usize) -> usize {
        self.data.swap(start, pivot);
        let (mut low, mut high) = (start + 1, end - 1);
        loop {
            while low <= high && !self.less(start, low) {
                low += 1;
            }
            while low <= high && self.less(start, high) {
                high -= 1;
            }
            if low > high {
                return low;
            }
            self.data.swap(low, high);
            (low, high) = (low + 1, high - 1);
        }
    }

    /// Puts up to five elements in order; true if then all are.
    fn few_steps(&mut self, start: usize, end: usize) -> bool {
        let mut at = start + 1;
        for _ in 0..5 {
            while at < end && !self.less(at, at - 1) {
                at += 1;
            }
            if at == end {
                return true;
            }
            if end - start < LONG {
                return false;
            }
            self.data.swap(at, at - 1);
            if at - start >= 2 {
                self.shift_left(at - 1, 0);
            }
            if end - at >= 2 {
                let mut right = at + 1;
                while right < end && self.less(right, right - 1) {
                    self.data.swap(right, right - 1);
                    right += 1;
                }
            }
        }
        false
    }

    /// Breaks patterns that make bad pivots, by swaps that depend on the length only.
    fn scatter(&mut self, start: usize, end: usize) {
        let length = end - start;
        let mut random = length as u64;
        let mask = (1_usize << bits(length)) - 1;
        let middle = start + length / 4 * 2;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let mut other = random as usize & mask;
            if other >= length {
                other -= length;
            }
            self.data.swap(at, start + other);
        }
    }

    fn pivot(&self, start: usize, end: usize) -> (usize, Hint) {
        let length = end - start;
        let mut swaps = 0;
        let mut at = [1, 2, 3].map(|quarter| start + length / 4 * quarter);
        if length >= LONG {
            at = at.map(|at| self.median([at - 1, at, at + 1], &mut swaps));
        }
        let pivot = self.median(at, &mut swaps);
        let hint = match swaps {
            0 => Hint::Increasing,
            ALL_SWAPS => Hint::Decreasing,
            _ => Hint::Unknown,
        };
        (pivot, hint)
    }

    fn median(&self, [a, b, c]: [usize; 3], swaps: &mut u32) -> usize {
        let mut order = |one, other| {
            if self.less(other, one) {
                *swaps += 1;
                (other, one)
            } else {
                (one, other)
            }
        };
        let (a, b) = order(a, b);
        let (b, _) = order(b, c);
        order(a, b).1
    }
}

#[cfg(test)]
mod tests;
