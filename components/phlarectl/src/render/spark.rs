//! A series as a line of blocks.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Most characters of a line.
const WIDTH: usize = 60;

/// One character for each step of the range (more than 60 steps share characters); a space where
/// there is no point, the full block for the largest.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "picture"
)]
pub(crate) fn sparkline(
    points: impl Iterator<Item = (i64, f64)>,
    range_ms: (i64, i64),
    step: f64,
) -> String {
    let length = (range_ms.1.saturating_sub(range_ms.0)).max(1) as f64;
    let steps = (length / (step * 1e3)).ceil().max(1.0);
    let width = if steps < WIDTH as f64 {
        steps as usize + 1
    } else {
        WIDTH
    };
    let mut cells = vec![None; width];
    for (time, value) in points {
        let place = (time.saturating_sub(range_ms.0)) as f64 / length;
        let index = (place * (width - 1) as f64)
            .round()
            .clamp(0.0, (width - 1) as f64) as usize;
        if let Some(cell) = cells.get_mut(index) {
            *cell = Some(cell.unwrap_or(0.0) + value);
        }
    }
    let largest = cells.iter().flatten().copied().fold(0.0, f64::max);
    cells
        .into_iter()
        .map(|cell| match cell {
            None => ' ',
            Some(value) if largest > 0.0 => {
                let rank = (value / largest * 7.0).round().clamp(0.0, 7.0) as usize;
                BLOCKS.get(rank).copied().unwrap_or('█')
            }
            Some(_) => '▁',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_spaces_and_the_largest_is_full() {
        let points = [(0, 1.0), (2000, 8.0), (3000, 4.0)];
        assert_eq!(sparkline(points.into_iter(), (0, 3000), 1.0), "▂ █▅");
    }

    #[test]
    fn many_steps_share_characters() {
        let points = (0..=1000).map(|i| (i * 1000, 1.0));
        let line = sparkline(points, (0, 1_000_000), 1.0);
        assert_eq!(line.chars().count(), WIDTH);
        assert!(!line.contains(' '));
    }

    #[test]
    fn nothing_but_zeros_is_flat() {
        assert_eq!(
            sparkline([(0, 0.0), (1000, 0.0)].into_iter(), (0, 1000), 1.0),
            "▁▁"
        );
    }
}
