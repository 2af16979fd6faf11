//! The picture of an execution: a state machine as SVG, coloured and labelled by what happened in each state.
//!
//! Pure: a definition that `sluice-asl` has loaded and a history go in, text comes out. The SVG has CSS classes only, no style
//! and no script, so that it is shown under `Content-Security-Policy: default-src 'none'; style-src 'self'`; [`stylesheet`] is
//! what those classes mean, in light and dark. Nothing is told by colour alone: each state has its outcome as a word and as a
//! shape. [`Graph::outline`] says the same as a list, for whoever does not see the picture.
//!
//! ```
//! use sluice_asl::{Definition, MachineType};
//! use sluice_graph::{Graph, Options, Run};
//!
//! let asl = r#"{"QueryLanguage": "JSONata", "StartAt": "Hello", "States": {"Hello": {"Type": "Pass", "End": true}}}"#;
//! let graph = Graph::of(&Definition::parse(asl, MachineType::Standard)?);
//! assert!(graph.svg(&Run::none(), &Options::default()).contains("Hello"));
//! # Ok::<(), sluice_asl::DefinitionErrors>(())
//! ```

mod describe;
mod layout;
mod run;
mod style;
mod svg;
mod text;

use sluice_asl::{Definition, MachineShape, StateType};

pub use describe::OutlineItem;
pub use run::{Event, Items, Outcome, Run, StateRun};
pub use style::{Theme, stylesheet};

/// The graph of a state machine.
#[derive(Clone, Debug)]
pub struct Graph {
    machine: MachineShape,
}

/// How a graph is drawn.
#[derive(Clone, Copy, Default)]
pub struct Options<'a> {
    /// What the picture shows, e.g. the execution's name; read out first.
    pub title: &'a str,
    /// What the ids within the SVG begin with; must differ between two graphs of one page.
    pub id: &'a str,
    /// The address that a state leads to. Without it states are no links, but still reached by the keyboard.
    pub link: Option<&'a dyn Fn(&str) -> String>,
    /// Bring the colours along, for a file by itself. Such an SVG has a `<style>`.
    pub standalone: Option<Theme>,
}

impl Graph {
    /// The graph of any definition that can be loaded.
    #[must_use]
    pub fn of(definition: &Definition) -> Graph {
        Graph { machine: definition.shape() }
    }

    /// The graph of what a Map in Distributed mode runs for each item, to show a child execution with.
    #[must_use]
    pub fn of_items(&self, map: &str) -> Option<Graph> {
        fn find<'m>(machine: &'m MachineShape, map: &str) -> Option<&'m MachineShape> {
            machine.states.iter().find_map(|state| match &state.kind {
                StateType::Map { distributed: true } if *state.name == *map => state.machines.first(),
                _ => state.machines.iter().find_map(|inner| find(inner, map)),
            })
        }
        find(&self.machine, map).map(|machine| Graph { machine: machine.clone() })
    }

    /// The picture, with what `run` did; [`Run::none`] for the machine alone. The same input gives the same text.
    #[must_use]
    pub fn svg(&self, run: &Run, options: &Options<'_>) -> String {
        svg::draw(&self.machine, run, options)
    }

    /// The same as a list of texts: one for the execution, one for each state, nested states deeper than what they are in.
    #[must_use]
    pub fn outline(&self, run: &Run) -> Vec<OutlineItem> {
        describe::outline(&self.machine, run)
    }
}
