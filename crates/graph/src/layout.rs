//! Where everything is: each machine by itself, layer by layer, and the machines inside a state within its box.
//!
//! The layered layout is `dagre`'s (network simplex, barycentres, Brandes and Köpf). States have no edges into or out of what is
//! nested in another, so a nested machine is laid out first and is a large box afterwards.

use dagre::graph::{Graph as Layered, GraphOptions};
use dagre::layout::types::LabelPos;
use dagre::{EdgeLabel, LayoutOptions, NodeLabel, Ranker, layout};

/// Space between boxes of a layer.
const NODE_GAP: f64 = 36.0;
/// Space between layers.
const LAYER_GAP: f64 = 44.0;
/// Space between an edge and what is beside it.
const EDGE_GAP: f64 = 24.0;
/// How near to a corner of its box an edge may begin or end.
const CORNER: f64 = 26.0;
/// Space between the ends of two edges.
const PORT_GAP: f64 = 20.0;
/// The exact layering is quadratic in the worst case; beyond this many boxes a simpler one is used.
const EXACT_BOXES_MAX: usize = 200;

/// A box to be placed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// An edge to be placed, between indexes of boxes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The size of its label, zero for none.
    pub(crate) label: Size,
    /// How much it wants to be short and straight.
    pub(crate) weight: i32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

/// Where an edge runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    /// From box to box; straight down or up at each point.
    pub(crate) points: Vec<Point>,
    /// The centre of its label.
    pub(crate) label: Option<Point>,
}

/// A machine that is laid out; the upper left corner is (0, 0).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) width: f64,
    pub(crate) height: f64,
    /// The centre of each box.
    pub(crate) boxes: Vec<Point>,
    /// Of each link.
    pub(crate) routes: Vec<Route>,
}

/// Places boxes and edges. Edges go downwards, but for those that lead back to an earlier box; no two boxes overlap.
pub(crate) fn place(sizes: &[Size], links: &[Link]) -> Placed {
    let options = GraphOptions { directed: true, multigraph: true, compound: false };
    let mut graph: Layered<NodeLabel, EdgeLabel> = Layered::with_options(options);
    for (index, size) in sizes.iter().enumerate() {
        let node = NodeLabel { width: size.width, height: size.height, ..NodeLabel::default() };
        graph.set_node(index.to_string(), Some(node));
    }
    for (index, link) in links.iter().enumerate() {
        let edge = EdgeLabel {
            width: link.label.width,
            height: link.label.height,
            weight: link.weight,
            labelpos: LabelPos::Center,
            ..EdgeLabel::default()
        };
        graph.set_edge(link.from.to_string(), link.to.to_string(), Some(edge), Some(&index.to_string()));
    }
    let exact = sizes.len() <= EXACT_BOXES_MAX;
    let options = LayoutOptions {
        nodesep: NODE_GAP,
        edgesep: EDGE_GAP,
        ranksep: LAYER_GAP,
        ranker: if exact { Ranker::NetworkSimplex } else { Ranker::LongestPath },
        ..LayoutOptions::default()
    };
    layout(&mut graph, Some(options));
    let centre = |index: usize| {
        let node = graph.node(&index.to_string());
        Point {
            x: node.and_then(|node| node.x).unwrap_or(0.0),
            y: node.and_then(|node| node.y).unwrap_or(0.0),
        }
    };
    let boxes: Vec<Point> = (0..sizes.len()).map(centre).collect();
    let routes = links
        .iter()
        .enumerate()
        .map(|(index, link)| {
            let edge = graph.edge(&link.from.to_string(), &link.to.to_string(), Some(&index.to_string()));
            let points = edge.map(|edge| &edge.points[..]).unwrap_or_default();
            let label = edge.and_then(|edge| Some(Point { x: edge.x?, y: edge.y? }));
            Route {
                points: points.iter().map(|point| Point { x: point.x, y: point.y }).collect(),
                label: label.filter(|_| link.label.width > 0.0),
            }
        })
        .collect();
    let mut placed = Placed { width: 0.0, height: 0.0, boxes, routes };
    attach(&mut placed, sizes, links);
    crop(&mut placed, sizes, links);
    placed
}

/// Begins and ends each edge on the upper or lower side of its boxes, and straight as far as its layer reaches.
fn attach(placed: &mut Placed, sizes: &[Size], links: &[Link]) {
    // Box, whether its lower side, where the edge comes from; and the edge, with whether it is its first point.
    let mut ports: Vec<(usize, bool, f64, usize, bool)> = Vec::new();
    for (index, (link, route)) in links.iter().zip(&placed.routes).enumerate() {
        let [_, second, .., _] = route.points[..] else { continue };
        if link.from == link.to {
            continue;
        }
        let before_last = route.points[route.points.len() - 2];
        ports.push((link.from, second.y > placed.boxes[link.from].y, second.x, index, true));
        ports.push((link.to, before_last.y > placed.boxes[link.to].y, before_last.x, index, false));
    }
    ports.sort_by(|a, b| {
        (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)).then((a.3, a.4).cmp(&(b.3, b.4)))
    });
    for side in ports.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        let (index, lower) = (side[0].0, side[0].1);
        let (centre, size) = (placed.boxes[index], sizes[index]);
        let half = size.width / 2.0 - CORNER.min(size.width / 5.0);
        let gap = PORT_GAP.min(2.0 * half / (side.len().max(2) - 1) as f64);
        let mut xs: Vec<f64> =
            side.iter().map(|port| port.2.clamp(centre.x - half, centre.x + half)).collect();
        for place in 1..xs.len() {
            xs[place] = xs[place].max(xs[place - 1] + gap);
        }
        let mut limit = centre.x + half;
        for x in xs.iter_mut().rev() {
            *x = x.min(limit);
            limit = *x - gap;
        }
        let y = centre.y + if lower { size.height } else { -size.height } / 2.0;
        // A taller neighbour reaches further; the edge turns only beyond it.
        let reach = (0..sizes.len())
            .filter(|other| (placed.boxes[*other].y - centre.y).abs() < 0.5)
            .map(|other| sizes[other].height / 2.0)
            .fold(0.0, f64::max);
        let beyond = centre.y + if lower { reach } else { -reach };
        for ((_, _, _, edge, first), x) in side.iter().zip(xs) {
            let points = &mut placed.routes[*edge].points;
            let end = if *first { 0 } else { points.len() - 1 };
            points[end] = Point { x, y };
            if (beyond - y).abs() > 0.5 {
                points.insert(if *first { 1 } else { end }, Point { x, y: beyond });
            }
        }
    }
}

/// Moves everything so that it begins at (0, 0), and measures it.
fn crop(placed: &mut Placed, sizes: &[Size], links: &[Link]) {
    let (mut low, mut high) = (Point { x: f64::MAX, y: f64::MAX }, Point { x: f64::MIN, y: f64::MIN });
    let mut cover = |centre: Point, size: Size| {
        low = Point { x: low.x.min(centre.x - size.width / 2.0), y: low.y.min(centre.y - size.height / 2.0) };
        high =
            Point { x: high.x.max(centre.x + size.width / 2.0), y: high.y.max(centre.y + size.height / 2.0) };
    };
    for (centre, size) in placed.boxes.iter().zip(sizes) {
        cover(*centre, *size);
    }
    for (route, link) in placed.routes.iter().zip(links) {
        let dot = Size { width: 4.0, height: 4.0 };
        route.points.iter().for_each(|point| cover(*point, dot));
        if let Some(label) = route.label {
            cover(label, link.label);
        }
    }
    if low.x > high.x {
        return;
    }
    let move_by = |point: &mut Point| {
        point.x = round(point.x - low.x);
        point.y = round(point.y - low.y);
    };
    placed.boxes.iter_mut().for_each(move_by);
    for route in &mut placed.routes {
        route.points.iter_mut().chain(route.label.as_mut()).for_each(move_by);
    }
    placed.width = (high.x - low.x).ceil();
    placed.height = (high.y - low.y).ceil();
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TOLERANCE: f64 = 0.25;

    fn overlaps(a: (Point, Size), b: (Point, Size)) -> bool {
        (a.0.x - b.0.x).abs() < (a.1.width + b.1.width) / 2.0 - TOLERANCE
            && (a.0.y - b.0.y).abs() < (a.1.height + b.1.height) / 2.0 - TOLERANCE
    }

    /// Which links lead back, in a walk from box 0 that takes links in their order, as a reader would.
    fn leads_back(boxes: usize, links: &[Link]) -> Vec<bool> {
        fn walk(at: usize, links: &[Link], seen: &mut [u8], back: &mut [bool]) {
            seen[at] = 1;
            for (index, link) in links.iter().enumerate().filter(|(_, link)| link.from == at) {
                match seen[link.to] {
                    0 => walk(link.to, links, seen, back),
                    1 => back[index] = true,
                    _ => {}
                }
            }
            seen[at] = 2;
        }
        let (mut seen, mut back) = (vec![0; boxes], vec![false; links.len()]);
        for at in 0..boxes {
            if seen[at] == 0 {
                walk(at, links, &mut seen, &mut back);
            }
        }
        back
    }

    prop_compose! {
        fn graphs()(boxes in 1_usize..24)(
            sizes in prop::collection::vec((40.0..400.0_f64, 20.0..300.0_f64), boxes),
            links in prop::collection::vec((0..boxes, 0..boxes, prop::bool::ANY), 0..40),
        ) -> (Vec<Size>, Vec<Link>) {
            let sizes = sizes.into_iter().map(|(width, height)| Size { width, height }).collect();
            let links = links.into_iter().map(|(from, to, labelled)| {
                let label = if labelled { Size { width: 90.0, height: 18.0 } } else { Size { width: 0.0, height: 0.0 } };
                Link { from, to, label, weight: 1 }
            }).collect();
            (sizes, links)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn no_two_boxes_overlap_and_all_are_within((sizes, links) in graphs()) {
            let placed = place(&sizes, &links);
            for (index, centre) in placed.boxes.iter().enumerate() {
                let size = sizes[index];
                prop_assert!(centre.x - size.width / 2.0 >= -TOLERANCE && centre.x + size.width / 2.0 <= placed.width + TOLERANCE);
                prop_assert!(centre.y - size.height / 2.0 >= -TOLERANCE && centre.y + size.height / 2.0 <= placed.height + TOLERANCE);
                for (other, taken) in sizes.iter().enumerate().take(index) {
                    prop_assert!(
                        !overlaps((*centre, size), (placed.boxes[other], *taken)),
                        "{index} and {other}"
                    );
                }
            }
        }

        #[test]
        fn the_same_is_placed_alike((sizes, links) in graphs()) {
            prop_assert_eq!(place(&sizes, &links), place(&sizes, &links));
        }

        /// With at most one link between two boxes, a layout that turns as few as a depth-first walk does.
        #[test]
        fn edges_go_downwards_but_for_those_that_lead_back((sizes, links) in graphs()) {
            let links: Vec<Link> = links.into_iter().filter(|link| link.from < link.to).collect();
            let placed = place(&sizes, &links);
            prop_assert!(leads_back(sizes.len(), &links).iter().all(|back| !back));
            for (link, route) in links.iter().zip(&placed.routes) {
                prop_assert!(placed.boxes[link.from].y < placed.boxes[link.to].y);
                for pair in route.points.windows(2) {
                    prop_assert!(pair[0].y <= pair[1].y + TOLERANCE, "{:?}", route.points);
                }
            }
        }

        #[test]
        fn edges_begin_and_end_at_their_boxes((sizes, links) in graphs()) {
            let placed = place(&sizes, &links);
            for (link, route) in links.iter().zip(&placed.routes).filter(|(link, _)| link.from != link.to) {
                let ends = [(link.from, route.points[0]), (link.to, route.points[route.points.len() - 1])];
                for (index, point) in ends {
                    let (centre, size) = (placed.boxes[index], sizes[index]);
                    prop_assert!((point.x - centre.x).abs() <= size.width / 2.0 + TOLERANCE);
                    prop_assert!(((point.y - centre.y).abs() - size.height / 2.0).abs() <= TOLERANCE);
                }
            }
        }
    }

    #[test]
    fn only_what_leads_back_goes_up() {
        let size = Size { width: 100.0, height: 40.0 };
        let none = Size { width: 0.0, height: 0.0 };
        let links =
            [(0, 1), (1, 2), (2, 1), (2, 3)].map(|(from, to)| Link { from, to, label: none, weight: 1 });
        let placed = place(&[size; 4], &links);
        let up: Vec<bool> =
            links.iter().map(|link| placed.boxes[link.from].y > placed.boxes[link.to].y).collect();
        assert_eq!(up, leads_back(4, &links));
        assert_eq!(up, [false, false, true, false]);
    }

    #[test]
    fn nothing_is_placed_as_nothing_and_a_thousand_boxes_are_placed() {
        assert_eq!(place(&[], &[]), Placed { width: 0.0, height: 0.0, boxes: vec![], routes: vec![] });
        let sizes = vec![Size { width: 100.0, height: 40.0 }; 1_000];
        let none = Size { width: 0.0, height: 0.0 };
        let links: Vec<Link> =
            (1..1_000).map(|to| Link { from: to - 1, to, label: none, weight: 1 }).collect();
        let placed = place(&sizes, &links);
        assert!(placed.boxes.windows(2).all(|pair| pair[0].y < pair[1].y));
    }
}
