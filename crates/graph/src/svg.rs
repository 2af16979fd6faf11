//! The picture itself. Elements and classes; whoever shows it brings [`crate::stylesheet`].

use std::collections::HashMap;
use std::fmt::Write as _;

use sluice_asl::{MachineShape, StateShape, StateType, When};

use crate::Options;
use crate::describe::{execution, facts, kind, sentences};
use crate::layout::{Link, Placed, Point, Size, place};
use crate::run::{Outcome, Run, StateRun};
use crate::style::resolved;
use crate::text::{escape, shorten, width};

/// Of a name that is shown; the whole name is in the tooltip.
const NAME_CHARS_MAX: usize = 42;
/// Of a condition or of error names on an edge.
const LABEL_CHARS_MAX: usize = 34;
/// Around the whole picture, in pixels.
const MARGIN: f64 = 16.0;
/// Around what is nested in a state.
const PADDING: f64 = 18.0;
const BOX_WIDTH_MIN: f64 = 168.0;
const TERMINAL: Size = Size { width: 58.0, height: 26.0 };
const LABEL_HEIGHT: f64 = 18.0;
const NONE: Size = Size { width: 0.0, height: 0.0 };

pub(crate) fn draw(machine: &MachineShape, run: &Run, options: &Options<'_>) -> String {
    let picture = Machine::new(machine, run);
    let (across, down) = (picture.placed.width + 2.0 * MARGIN, picture.placed.height + 2.0 * MARGIN);
    let mut pen = Pen { out: String::new(), run, options, states: 0 };
    let id = escape(options.id);
    let title = if options.title.is_empty() { "State machine" } else { options.title };
    let what = if run.is_none() { "Not run.".to_owned() } else { execution(run) };
    pen.write(format_args!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"sluice-graph\" viewBox=\"0 0 {across} {down}\" \
         width=\"{across}\" height=\"{down}\" role=\"group\" aria-labelledby=\"{id}graph-title\" \
         aria-describedby=\"{id}graph-desc\">\n\
         <title id=\"{id}graph-title\">{}</title>\n<desc id=\"{id}graph-desc\">{}</desc>\n",
        escape(title),
        escape(&what),
    ));
    if let Some(theme) = options.standalone {
        pen.write(format_args!("<style>\n{}</style>\n", resolved(theme)));
    }
    pen.write(format_args!("<rect class=\"canvas\" width=\"{across}\" height=\"{down}\"/>\n"));
    pen.machine(&picture, Point { x: MARGIN, y: MARGIN });
    pen.out.push_str("</svg>\n");
    pen.out
}

/// A machine that is laid out, with what is nested in its states.
struct Machine<'d> {
    states: Vec<Node<'d>>,
    edges: Vec<Edge<'d>>,
    placed: Placed,
    /// Whether there is a box for the end.
    ends: bool,
}

struct Node<'d> {
    state: &'d StateShape,
    /// Whether what happened in it can be known from this execution's history.
    known: bool,
    happened: StateRun,
    lines: Lines,
    size: Size,
    inner: Vec<Machine<'d>>,
}

/// The texts in a box.
struct Lines {
    kind: String,
    outcome: bool,
    facts: String,
    error: Option<String>,
}

struct Edge<'d> {
    /// Indexes of boxes: the states in their order, then the beginning, then the end.
    from: usize,
    to: usize,
    label: String,
    whole: String,
    catch: bool,
    taken: u32,
    when: Option<&'d When>,
}

impl Lines {
    fn new(state: &StateShape, happened: &StateRun, run: &Run) -> Lines {
        let reached = happened.outcome != Outcome::NotReached || happened.items.is_some();
        let failed = matches!(happened.outcome, Outcome::Failed | Outcome::Caught | Outcome::TimedOut);
        let mut kind = shorten(&kind(state), NAME_CHARS_MAX);
        if !run.is_none() && !reached {
            kind.push_str(" · not reached");
        }
        Lines {
            kind,
            outcome: happened.outcome != Outcome::NotReached,
            facts: if reached { facts(happened, false).join(" · ") } else { String::new() },
            error: happened.error.as_deref().filter(|_| failed).map(|error| shorten(error, NAME_CHARS_MAX)),
        }
    }

    fn height(&self) -> f64 {
        52.0 + if self.outcome || !self.facts.is_empty() { 22.0 } else { 0.0 }
            + if self.error.is_some() { 18.0 } else { 0.0 }
    }

    fn width(&self, name: &str, outcome: Outcome) -> f64 {
        let third = if self.outcome { 34.0 + width(outcome.label(), 12.0) } else { 24.0 };
        let texts = [
            24.0 + 1.07 * width(&shorten(name, NAME_CHARS_MAX), 14.0),
            24.0 + width(&self.kind, 12.0),
            third + width(&self.facts, 12.0),
            self.error.as_deref().map_or(0.0, |error| width(error, 12.0)),
        ];
        (texts.into_iter().fold(0.0, f64::max) + 34.0).max(BOX_WIDTH_MIN).ceil()
    }
}

impl<'d> Machine<'d> {
    fn new(machine: &'d MachineShape, run: &Run) -> Machine<'d> {
        let states: Vec<Node<'d>> = machine.states.iter().map(|state| Node::new(state, run)).collect();
        let index: HashMap<&str, usize> =
            machine.states.iter().enumerate().map(|(index, state)| (&*state.name, index)).collect();
        let (begin, end) = (states.len(), states.len() + 1);
        let mut edges = Vec::new();
        // The beginning comes first, so that the walk which finds what leads back begins where the machine does.
        if let Some(start) = index.get(&*machine.start) {
            let taken = states[*start].happened.visits.min(1);
            edges.push(Edge::plain(begin, *start, taken));
        }
        for (from, node) in states.iter().enumerate() {
            edges.extend(Edge::of(from, node.state, &index, run));
            if node.state.ends {
                let left = node.happened.outcome == Outcome::Succeeded
                    && !run.steps.keys().any(|(state, _, _)| *state == *node.state.name);
                edges.push(Edge::plain(from, end, u32::from(left)));
            }
        }
        let ends = states.iter().any(|node| node.state.ends);
        let mut sizes: Vec<Size> = states.iter().map(|node| node.size).collect();
        sizes.push(TERMINAL);
        if ends {
            sizes.push(TERMINAL);
        }
        let links: Vec<Link> = edges.iter().map(Edge::link).collect();
        Machine { placed: place(&sizes, &links), states, edges, ends }
    }
}

impl<'d> Node<'d> {
    fn new(state: &'d StateShape, run: &Run) -> Node<'d> {
        let happened = run.state(&state.name);
        let elsewhere = Run::none();
        let inner_run = if state.kind == (StateType::Map { distributed: true }) { &elsewhere } else { run };
        let lines = Lines::new(state, &happened, run);
        let inner: Vec<Machine<'d>> =
            state.machines.iter().map(|machine| Machine::new(machine, inner_run)).collect();
        let mut size = Size { width: lines.width(&state.name, happened.outcome), height: lines.height() };
        if !inner.is_empty() {
            let across: f64 = inner.iter().map(|machine| machine.placed.width).sum::<f64>()
                + PADDING * 2.0 * inner.len() as f64;
            let down = inner.iter().map(|machine| machine.placed.height).fold(0.0, f64::max);
            size = Size { width: size.width.max(across), height: size.height + down + 1.5 * PADDING };
        }
        Node { state, known: !run.is_none(), happened, lines, size, inner }
    }
}

impl<'d> Edge<'d> {
    fn plain(from: usize, to: usize, taken: u32) -> Edge<'d> {
        Edge { from, to, label: String::new(), whole: String::new(), catch: false, taken, when: None }
    }

    /// The ways out of a state. Of several that lead to the same state only the first that fits is counted as taken.
    fn of(from: usize, state: &'d StateShape, index: &HashMap<&str, usize>, run: &Run) -> Vec<Edge<'d>> {
        let mut counted = Vec::new();
        let mut edges = Vec::new();
        for way in &state.transitions {
            let Some(to) = index.get(&*way.to) else { continue };
            let catch = matches!(way.when, When::Caught(_));
            let (label, whole) = match &way.when {
                When::Next => (String::new(), String::new()),
                When::Rule(condition) => (plainly(condition), condition.clone()),
                When::Default => ("otherwise".to_owned(), "no rule holds".to_owned()),
                When::Caught(errors) => (format!("on {}", some(errors)), errors.join(", ")),
            };
            let step = (state.name.to_string(), way.to.to_string(), catch);
            let mut taken = run.steps.get(&step).copied().unwrap_or(0);
            if counted.contains(&step) {
                taken = 0;
            }
            counted.push(step);
            let label = match taken {
                0 | 1 => label,
                times if label.is_empty() => format!("×{times}"),
                times => format!("{label} ×{times}"),
            };
            edges.push(Edge { from, to: *to, label, whole, catch, taken, when: Some(&way.when) });
        }
        edges
    }

    fn link(&self) -> Link {
        let label = if self.label.is_empty() {
            NONE
        } else {
            Size { width: (width(&self.label, 11.5) + 10.0).ceil(), height: LABEL_HEIGHT }
        };
        // The way that is meant is the straight one.
        let weight = match self.when {
            None | Some(When::Next) => 4,
            Some(When::Rule(_) | When::Default) => 2,
            Some(When::Caught(_)) => 1,
        };
        Link { from: self.from, to: self.to, label, weight }
    }
}

/// A condition as short as it can be said: `$states.input.x` is `input.x`.
fn plainly(condition: &str) -> String {
    let one_line = condition.split_whitespace().collect::<Vec<_>>().join(" ");
    shorten(&one_line.replace("$states.context.", "").replace("$states.", ""), LABEL_CHARS_MAX)
}

/// The first error names that fit, and how many more there are.
fn some(errors: &[String]) -> String {
    let mut text = String::new();
    for (index, error) in errors.iter().enumerate() {
        let more = errors.len() - index;
        if index > 0 && text.len() + error.len() > LABEL_CHARS_MAX {
            text.push_str(&format!(", {more} more"));
            return text;
        }
        if index > 0 {
            text.push_str(", ");
        }
        // `ExecutionAlreadyExistsException` says enough; the tooltip has it all.
        let short = error.rsplit('.').next().filter(|_| error.len() > LABEL_CHARS_MAX).unwrap_or(error);
        text.push_str(&shorten(short, LABEL_CHARS_MAX));
    }
    text
}

struct Pen<'a> {
    out: String,
    run: &'a Run,
    options: &'a Options<'a>,
    /// How many states were drawn: what makes their ids differ.
    states: usize,
}

impl Pen<'_> {
    fn write(&mut self, what: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.out.write_fmt(what);
    }

    fn machine(&mut self, machine: &Machine<'_>, at: Point) {
        self.write(format_args!("<g transform=\"translate({} {})\">\n", at.x, at.y));
        // What was taken lies above what was not.
        let mut order: Vec<usize> = (0..machine.edges.len()).collect();
        order.sort_by_key(|index| machine.edges[*index].taken > 0);
        for index in &order {
            self.edge(&machine.edges[*index], &machine.placed.routes[*index].points);
        }
        for index in order {
            if let Some(label) = machine.placed.routes[index].label {
                self.label(&machine.edges[index], label);
            }
        }
        self.terminal("Start", machine.placed.boxes[machine.states.len()]);
        for (node, centre) in machine.states.iter().zip(&machine.placed.boxes) {
            self.state(node, *centre);
        }
        if machine.ends {
            self.terminal("End", machine.placed.boxes[machine.states.len() + 1]);
        }
        self.out.push_str("</g>\n");
    }

    fn terminal(&mut self, text: &str, centre: Point) {
        let Size { width, height } = TERMINAL;
        self.write(format_args!(
            "<g class=\"terminal\" aria-hidden=\"true\"><rect x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\" \
             rx=\"{}\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{text}</text></g>\n",
            tenth(centre.x - width / 2.0),
            tenth(centre.y - height / 2.0),
            height / 2.0,
            tenth(centre.x),
            tenth(centre.y + 4.0),
        ));
    }

    fn edge(&mut self, edge: &Edge<'_>, points: &[Point]) {
        let [first, .., before, last] = points else { return };
        let class = edge_class("edge", edge);
        // The head is as long as the line is cut.
        let up = last.y < before.y || (last.y == before.y && first.y > last.y);
        let head = if up { 9.0 } else { -9.0 };
        let loops = edge.from == edge.to;
        let mut path = format!("M{} {}", tenth(first.x), tenth(first.y));
        if loops {
            let out = tenth(points.iter().map(|point| point.x).fold(f64::MIN, f64::max) + 8.0);
            let _ = write!(
                path,
                "C{out} {} {out} {} {} {}",
                tenth(first.y),
                tenth(last.y),
                tenth(last.x + 9.0),
                tenth(last.y)
            );
        }
        for (index, pair) in points.windows(2).enumerate().filter(|_| !loops) {
            let (a, mut b) = (pair[0], pair[1]);
            if index + 2 == points.len() {
                b.y += head;
            }
            let _ = if a.x == b.x {
                write!(path, "L{} {}", tenth(b.x), tenth(b.y))
            } else {
                let middle = tenth((a.y + b.y) / 2.0);
                write!(path, "C{} {middle} {} {middle} {} {}", tenth(a.x), tenth(b.x), tenth(b.x), tenth(b.y))
            };
        }
        let (x, y) = (last.x, last.y);
        let tip = if loops {
            format!(
                "{},{} {},{} {},{}",
                tenth(x),
                tenth(y),
                tenth(x + 9.0),
                tenth(y - 5.0),
                tenth(x + 9.0),
                tenth(y + 5.0)
            )
        } else {
            let base = tenth(y + head);
            format!("{},{} {},{base} {},{base}", tenth(x), tenth(y), tenth(x - 5.0), tenth(x + 5.0))
        };
        self.write(format_args!(
            "<g class=\"{class}\" aria-hidden=\"true\"><path d=\"{path}\"/><polygon points=\"{tip}\"/></g>\n"
        ));
    }

    fn label(&mut self, edge: &Edge<'_>, centre: Point) {
        let across = edge.link().label.width;
        let whole = if edge.whole.is_empty() {
            String::new()
        } else {
            format!("<title>{}</title>", escape(&shorten(&edge.whole, 400)))
        };
        self.write(format_args!(
            "<g class=\"{}\" aria-hidden=\"true\">{whole}<rect x=\"{}\" y=\"{}\" width=\"{across}\" \
             height=\"{LABEL_HEIGHT}\" rx=\"4\"/><text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text></g>\n",
            edge_class("label", edge),
            tenth(centre.x - across / 2.0),
            tenth(centre.y - LABEL_HEIGHT / 2.0),
            tenth(centre.x),
            tenth(centre.y + 4.0),
            escape(&edge.label),
        ));
    }

    fn state(&mut self, node: &Node<'_>, centre: Point) {
        let (x, y) = (tenth(centre.x - node.size.width / 2.0), tenth(centre.y - node.size.height / 2.0));
        let is_cluster = !node.inner.is_empty();
        self.write(format_args!(
            "<g{} transform=\"translate({x} {y})\">\n",
            if is_cluster { " class=\"cluster\"" } else { "" }
        ));
        self.states += 1;
        let id = format!("{}graph-{}", escape(self.options.id), self.states);
        let outcome = node.happened.outcome;
        let class = format!("state {}", if node.known { outcome.class() } else { "plain" });
        let labels = format!("aria-labelledby=\"{id}-title\" aria-describedby=\"{id}-desc\"");
        let tag = match self.options.link {
            Some(link) => {
                let address = escape(&link(&node.state.name));
                self.write(format_args!("<a class=\"{class}\" href=\"{address}\" {labels}>\n"));
                "a"
            }
            None => {
                self.write(format_args!("<g class=\"{class}\" role=\"img\" tabindex=\"0\" {labels}>\n"));
                "g"
            }
        };
        let name = shorten(&node.state.name, 256);
        let title = if node.known { format!("{name}: {}", outcome.label()) } else { name };
        let description =
            if node.known { sentences(node.state, self.run) } else { sentences(node.state, &Run::none()) };
        self.write(format_args!(
            "<title id=\"{id}-title\">{}</title><desc id=\"{id}-desc\">{}</desc>\n",
            escape(&title),
            escape(&description),
        ));
        self.texts(node);
        self.write(format_args!("</{tag}>\n"));
        self.nested(node);
        self.out.push_str("</g>\n");
    }

    fn texts(&mut self, node: &Node<'_>) {
        let Size { width: across, height } = node.size;
        let Node { state, happened, lines, .. } = node;
        self.write(format_args!(
            "<rect class=\"box\" width=\"{across}\" height=\"{height}\" rx=\"8\"/>\
             <path class=\"bar\" d=\"M8 0H6A6 8 0 0 0 0 8V{}A6 8 0 0 0 6 {height}H8Z\"/>\n\
             <path class=\"icon\" transform=\"translate(18 10)\" d=\"{}\"/>\n\
             <text class=\"name\" x=\"42\" y=\"23\">{}</text><text class=\"kind\" x=\"42\" y=\"40\">{}</text>\n",
            height - 8.0,
            icon(&state.kind),
            escape(&shorten(&state.name, NAME_CHARS_MAX)),
            escape(&lines.kind),
        ));
        let mut y = 62.0;
        if lines.outcome {
            let label = happened.outcome.label();
            self.write(format_args!(
                "<path class=\"badge\" transform=\"translate(18 {})\" d=\"{}\"/>\
                 <text class=\"outcome\" x=\"42\" y=\"{y}\">{label}</text>",
                y - 12.0,
                badge(happened.outcome),
            ));
        }
        if !lines.facts.is_empty() {
            let x = if lines.outcome { 52.0 + width(happened.outcome.label(), 12.0) } else { 42.0 };
            self.write(format_args!(
                "<text class=\"facts\" x=\"{}\" y=\"{y}\">{}</text>\n",
                tenth(x),
                escape(&lines.facts)
            ));
        }
        if let Some(error) = &lines.error {
            y += 18.0;
            self.write(format_args!("<text class=\"error\" x=\"18\" y=\"{y}\">{}</text>\n", escape(error)));
        }
    }

    fn nested(&mut self, node: &Node<'_>) {
        let Some(last) = node.inner.len().checked_sub(1) else { return };
        let top = node.lines.height() + PADDING / 2.0;
        let all: f64 = node.inner.iter().map(|machine| machine.placed.width + 2.0 * PADDING).sum();
        let mut x = (node.size.width - all) / 2.0;
        for (index, machine) in node.inner.iter().enumerate() {
            self.machine(machine, Point { x: tenth(x + PADDING), y: top });
            x += machine.placed.width + 2.0 * PADDING;
            if index < last {
                let (line, foot) = (tenth(x), node.size.height - PADDING);
                self.write(format_args!("<path class=\"lane\" d=\"M{line} {top}V{foot}\"/>\n"));
            }
        }
    }
}

fn edge_class(kind: &str, edge: &Edge<'_>) -> String {
    let mut class = kind.to_owned();
    if edge.catch {
        class.push_str(" catch");
    }
    if edge.taken > 0 {
        class.push_str(" taken");
    }
    class
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The kind of a state, 16 by 16.
fn icon(kind: &StateType) -> &'static str {
    match kind {
        // A lambda.
        StateType::Task { .. } => "M3 2H5.5L12.5 14H14.5M7.5 6L3 14",
        StateType::Pass => "M2 8H13M9 4L13 8L9 12",
        StateType::Choice => "M8 1.5L14.5 8L8 14.5L1.5 8Z",
        StateType::Wait => "M8 1.5A6.5 6.5 0 1 0 8.01 1.5M8 4.5V8L10.5 9.5",
        StateType::Succeed => "M8 1.5A6.5 6.5 0 1 0 8.01 1.5M5 8.2L7.2 10.4L11 6",
        StateType::Fail => "M8 1.5A6.5 6.5 0 1 0 8.01 1.5M5.5 5.5L10.5 10.5M10.5 5.5L5.5 10.5",
        StateType::Parallel => "M4 2V14M8 2V14M12 2V14",
        StateType::Map { .. } => "M2 5.5H10.5V14H2ZM5.5 5.5V2H14V10.5H10.5",
    }
}

/// An outcome, 16 by 16: each has a shape of its own.
fn badge(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotReached => "",
        Outcome::Running => "M8 1.5A6.5 6.5 0 1 1 1.5 8M6.5 5.2V10.8L11 8Z",
        Outcome::Succeeded => "M8 1.5A6.5 6.5 0 1 0 8.01 1.5M5 8.2L7.2 10.4L11 6",
        Outcome::Caught => "M8 1.8L15 14.2H1ZM8 6.5V9.8M8 12V12.05",
        Outcome::Failed => {
            "M5.2 1.5H10.8L14.5 5.2V10.8L10.8 14.5H5.2L1.5 10.8V5.2ZM5.6 5.6L10.4 10.4M10.4 5.6L5.6 10.4"
        }
        Outcome::TimedOut => {
            "M3.5 1.5H12.5M3.5 14.5H12.5M4.5 1.5V4L8 8L11.5 4V1.5M4.5 14.5V12L8 8L11.5 12V14.5"
        }
        Outcome::Aborted => "M2 2H14V14H2ZM5.5 5.5H10.5V10.5H5.5Z",
    }
}
