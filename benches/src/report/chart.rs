//! Charts as SVG: bars of one figure a design, lines over time.

use std::path::Path;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::{
    AreaSeries, BLACK, ChartBuilder, Color, DrawingArea, IntoDrawingArea, LineSeries, PathElement,
    RGBColor, Rectangle, SVGBackend, SeriesLabelPosition, Text, WHITE,
};

const SIZE: (u32, u32) = (760, 360);
const FONT: &str = "sans-serif";
/// Ours, and what it is compared with.
const COLORS: [RGBColor; 5] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(120, 120, 120),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
];

/// A value with its name.
pub(super) type Bar = (String, u64);
/// Points of a curve, with its name.
pub(super) type Curve = (String, Vec<(f64, f64)>);

/// What a chart says beside its figures.
pub(super) struct Words<'a> {
    pub(super) title: &'a str,
    pub(super) x: &'a str,
    pub(super) y: &'a str,
    /// Whether the curves grow over time: the first is filled, and names stand above.
    pub(super) grows: bool,
}

fn color(index: usize) -> RGBColor {
    COLORS[index % COLORS.len()]
}

/// Whole numbers on an axis: they are below two to the 53rd here.
pub(super) fn float(value: u64) -> f64 {
    let value = u32::try_from(value).unwrap_or(u32::MAX);
    f64::from(value)
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn area<'a>(path: &'a Path, title: &str) -> anyhow::Result<Area<'a>> {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(|error| anyhow!("{error}"))?;
    let area = area.titled(title, (FONT, 20));
    area.map_err(|error| anyhow!("{error}"))
}

/// One bar below the other, each with its value.
pub(super) fn bars(path: &Path, title: &str, bars: &[Bar]) -> anyhow::Result<()> {
    let area = area(path, title)?;
    let most = bars.iter().map(|(_, value)| *value).max().unwrap_or(1);
    let (left, right, height) = (220, 90, 52);
    let width = i32::try_from(SIZE.0)? - left - right;
    for (index, (name, value)) in bars.iter().enumerate() {
        let top = 24 + i32::try_from(index)? * height;
        let share = value * u64::try_from(width)? / most.max(1);
        let end = left + i32::try_from(share)?.max(2);
        let bar = Rectangle::new(
            [(left, top), (end, top + height - 18)],
            color(index).filled(),
        );
        area.draw(&bar).map_err(|error| anyhow!("{error}"))?;
        let middle = top + 9;
        for (text, at) in [(name.clone(), 12), (value.to_string(), end + 8)] {
            let text = Text::new(text, (at, middle), (FONT, 15));
            area.draw(&text).map_err(|error| anyhow!("{error}"))?;
        }
    }
    area.present().map_err(|error| anyhow!("{error}"))
}

/// Curves over one axis, the first filled below.
pub(super) fn curves(path: &Path, words: &Words<'_>, curves: &[Curve]) -> anyhow::Result<()> {
    let area = area(path, words.title)?;
    let points = || curves.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1e-9, f64::max);
    let (x, y) = (most(|point| point.0), most(|point| point.1));
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..x, 0.0..y * 1.05)
        .map_err(|error| anyhow!("{error}"))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .x_desc(words.x)
        .y_desc(words.y)
        .label_style((FONT, 13))
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    for (index, (name, points)) in curves.iter().enumerate() {
        let color = color(index);
        if index == 0 && words.grows {
            let below = AreaSeries::new(points.iter().copied(), 0.0, color.mix(0.15));
            chart
                .draw_series(below)
                .map_err(|error| anyhow!("{error}"))?;
        }
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        chart
            .draw_series(line)
            .map_err(|error| anyhow!("{error}"))?
            .label(name)
            .legend(move |(x, y)| {
                PathElement::new(vec![(x, y), (x + 18, y)], color.stroke_width(2))
            });
    }
    chart
        .configure_series_labels()
        .position(if words.grows {
            SeriesLabelPosition::UpperLeft
        } else {
            SeriesLabelPosition::LowerRight
        })
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.2))
        .label_font((FONT, 14))
        .draw()
        .map_err(|error| anyhow!("{error}"))?;
    area.present().map_err(|error| anyhow!("{error}"))
}
