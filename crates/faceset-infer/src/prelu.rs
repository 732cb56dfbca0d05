//! PReLU written as what ONNX Runtime's processor kernels run fast.
//!
//! The runtime keeps feature maps in blocks of channels, but not through a
//! PReLU: it unpacks, applies it value by value and packs again. Convolutions
//! and ReLU stay in blocks. `PReLU(x) = relu(x) - slope * relu(-x)` needs only
//! those and gives every value bit for bit: one of the two terms is always
//! zero, and the other one is `x` or the very product that PReLU computes.

use crate::onnx::{
    FLOAT, GRAPH_INITIALIZER, GRAPH_NODE, MODEL_IR_VERSION, Message, NODE_ATTRIBUTE, NODE_INPUT,
    NODE_NAME, NODE_OP, NODE_OUTPUT, TENSOR_DIMS, TENSOR_FLOATS, TENSOR_NAME, TENSOR_RAW,
    TENSOR_TYPE, Value, edit_graph,
};

/// AttributeProto.name, .i, .ints, .type and the two types in use.
const ATTRIBUTE_NAME: u64 = 1;
const ATTRIBUTE_INT: u64 = 3;
const ATTRIBUTE_INTS: u64 = 8;
const ATTRIBUTE_TYPE: u64 = 20;
const ATTRIBUTE_IS_INT: u64 = 2;
const ATTRIBUTE_IS_INTS: u64 = 7;

/// Rewrites every PReLU whose slope is stored in the file with one value a
/// channel; others stay. Returns the new file and how many were rewritten,
/// `None` when the bytes are not a readable ONNX file.
pub fn split_prelu(model: &[u8]) -> Option<(Vec<u8>, usize)> {
    // Before version 4 of the format every weight is listed as an input too.
    if Message::parse(model)?.number(MODEL_IR_VERSION) < Some(4) {
        return Some((model.to_vec(), 0));
    }
    let mut n_rewritten = 0;
    let rewritten = edit_graph(model, |graph| {
        let mut nodes = Vec::new();
        let mut weights = Vec::new();
        for node in graph.all(GRAPH_NODE) {
            match replacement(graph, node, nodes.len()) {
                Some(parts) => {
                    n_rewritten += 1;
                    nodes.extend(parts.nodes);
                    weights.extend(parts.weights);
                }
                None => nodes.push(node.to_vec()),
            }
        }
        if n_rewritten == 0 {
            return Some(());
        }
        let first = graph.0.iter().position(|(n, _)| *n == GRAPH_NODE)?;
        graph.0.retain(|(n, _)| *n != GRAPH_NODE);
        let owned = |number, bytes: Vec<u8>| (number, Value::Bytes(bytes.into()));
        let nodes = nodes.into_iter().map(|bytes| owned(GRAPH_NODE, bytes));
        graph.0.splice(first..first, nodes);
        for bytes in weights {
            graph.0.push(owned(GRAPH_INITIALIZER, bytes));
        }
        Some(())
    })?;
    Some((rewritten, n_rewritten))
}

struct Parts {
    nodes: [Vec<u8>; 5],
    weights: [Vec<u8>; 2],
}

/// What stands for `node`; `None` when it stays as it is.
fn replacement(graph: &Message<'_>, node: &[u8], at: usize) -> Option<Parts> {
    let node = Message::parse(node)?;
    let inputs: Vec<&[u8]> = node.all(NODE_INPUT).collect();
    let ([input, slope], "PRelu") = (inputs.as_slice(), node.text(NODE_OP)) else {
        return None;
    };
    let slopes = slopes(graph, slope)?;
    let input = std::str::from_utf8(input).ok()?;
    let output = node.text(NODE_OUTPUT);
    // No name of ours can meet one of the file's: they begin with the output's.
    let name = |part: &str| format!("{output}/split-prelu-{at}/{part}");
    let [up, turned, down, scaled] = ["up", "turned", "down", "scaled"].map(name);
    let [minus_one, minus_slope] = ["minus-one", "minus-slope"].map(name);
    let n = slopes.len();
    let negative: Vec<f32> = slopes.iter().map(|s| -s).collect();
    Some(Parts {
        nodes: [
            simple("Relu", &[input], &up),
            by_channel(input, &minus_one, &turned, n),
            simple("Relu", &[&turned], &down),
            by_channel(&down, &minus_slope, &scaled, n),
            simple("Add", &[&up, &scaled], output),
        ],
        weights: [
            weights(&minus_one, &vec![-1.0; n]),
            weights(&minus_slope, &negative),
        ],
    })
}

/// A stored slope of one value a channel, `[c, 1, 1]`: `[c]` would mean the last
/// axis.
fn slopes(graph: &Message<'_>, name: &[u8]) -> Option<Vec<f32>> {
    let tensor = graph
        .all(GRAPH_INITIALIZER)
        .filter_map(Message::parse)
        .find(|tensor| tensor.bytes(TENSOR_NAME) == Some(name))?;
    let dims = tensor.numbers(TENSOR_DIMS)?;
    let [channels, 1, 1] = dims[..] else {
        return None;
    };
    let raw = tensor.bytes(TENSOR_RAW).or(tensor.bytes(TENSOR_FLOATS))?;
    let (values, rest) = raw.as_chunks::<4>();
    let whole = rest.is_empty() && values.len() as u64 == channels;
    let is_float = tensor.number(TENSOR_TYPE) == Some(FLOAT);
    (whole && is_float).then(|| values.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

fn simple(op: &str, inputs: &[&str], output: &str) -> Vec<u8> {
    node(op, inputs, output).encode()
}

fn node(op: &str, inputs: &[&str], output: &str) -> Message<'static> {
    let mut node = Message::default();
    for input in inputs {
        node.push_text(NODE_INPUT, input);
    }
    node.push_text(NODE_OUTPUT, output);
    node.push_text(NODE_NAME, output);
    node.push_text(NODE_OP, op);
    node
}

/// A 1×1 convolution of each channel with a weight of its own.
fn by_channel(input: &str, weights: &str, output: &str, n_channels: usize) -> Vec<u8> {
    let mut node = node("Conv", &[input, weights], output);
    let mut group = Message::default();
    group.push_text(ATTRIBUTE_NAME, "group");
    group.push_number(ATTRIBUTE_INT, n_channels as u64);
    group.push_number(ATTRIBUTE_TYPE, ATTRIBUTE_IS_INT);
    node.push_bytes(NODE_ATTRIBUTE, group.encode());
    let mut kernel = Message::default();
    kernel.push_text(ATTRIBUTE_NAME, "kernel_shape");
    kernel.push_number(ATTRIBUTE_INTS, 1);
    kernel.push_number(ATTRIBUTE_INTS, 1);
    kernel.push_number(ATTRIBUTE_TYPE, ATTRIBUTE_IS_INTS);
    node.push_bytes(NODE_ATTRIBUTE, kernel.encode());
    node.encode()
}

fn weights(name: &str, values: &[f32]) -> Vec<u8> {
    let mut tensor = Message::default();
    for dim in [values.len() as u64, 1, 1, 1] {
        tensor.push_number(TENSOR_DIMS, dim);
    }
    tensor.push_number(TENSOR_TYPE, FLOAT);
    tensor.push_text(TENSOR_NAME, name);
    tensor.push_bytes(
        TENSOR_RAW,
        values.iter().flat_map(|v| v.to_le_bytes()).collect(),
    );
    tensor.encode()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{prelu_model, run};
    use proptest::prelude::*;

    #[test]
    fn each_channel_keeps_its_own_slope() {
        let model = prelu_model(&[0.25, -2.0], 4, [2, 1, 3]);
        let (split, n) = split_prelu(&model).unwrap();
        assert_eq!(n, 1);
        let values = [1.0, -1.0, -4.0, 3.0, -0.5, 0.0];
        assert_eq!(
            run(&split, [1, 2, 1, 3], &values),
            [1.0, -0.25, -1.0, 3.0, 1.0, 0.0]
        );
        assert_eq!(
            run(&model, [1, 2, 1, 3], &values),
            run(&split, [1, 2, 1, 3], &values)
        );
    }

    #[test]
    fn what_cannot_be_split_stays_byte_for_byte() {
        // A slope for the last axis, and a file in which weights are inputs.
        for model in [
            prelu_model(&[0.5, 0.5, 0.5], 4, [1, 1, 3]),
            prelu_model(&[0.5, 0.5], 3, [2, 1, 3]),
        ] {
            assert_eq!(split_prelu(&model), Some((model.clone(), 0)));
        }
        assert_eq!(split_prelu(&[0xff; 30]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]
        #[test]
        fn every_value_is_the_one_that_prelu_gives(
            slopes in proptest::collection::vec(-3.0f32..3.0, 17),
            values in proptest::collection::vec(-1e4f32..1e4, 17 * 6),
        ) {
            let (split, _) = split_prelu(&prelu_model(&slopes, 7, [17, 2, 3])).unwrap();
            let by_hand: Vec<f32> = values
                .iter()
                .enumerate()
                .map(|(at, x)| if *x < 0.0 { slopes[at / 6] * x } else { *x })
                .collect();
            prop_assert_eq!(run(&split, [1, 17, 2, 3], &values), by_hand);
        }
    }
}
