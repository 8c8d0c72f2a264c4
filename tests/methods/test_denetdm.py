"""DeNetDM against the paper's equations worked out independently, its table of settings, and interruptions."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.checkpoint import Interrupted
from benchmark.method import Supervision
from benchmark.network import Network, build_network
from benchmark.protocol import PROTOCOLS, Protocol
from benchmark.run import Problem, Run
from benchmark.task import Backbone, Inputs, Recipe
from methods.denetdm import Denetdm, DenetdmParams
from methods.denetdm.algorithm import Experts, Teachers, stage2_loss, train, train_target
from methods.denetdm.branches import plan, shallow_cifar

ToyRun = Callable[..., Run]
NONE = Supervision()
BRIEF = Protocol("brief", 0.03, None, None, None, candidates=3)
MLP = Backbone("tasks.backbones.mlp:mlp", {"widths": [24, 24]})
CONVNET = Backbone("tasks.backbones.convnet:simple_convnet")
RESNET = Backbone("tasks.backbones.resnet:resnet18")
BERT = Backbone("tasks.backbones.bert:bert", {"model": "minilm"})


def problem(backbone: Backbone, protocol: Protocol = PROTOCOLS["paper"]) -> Problem:
    recipe = Recipe("sgd", 0.5, batch_size=7, epochs=9)
    return Problem(10, (), None, Inputs((3, 32, 32)), backbone, recipe, protocol)


def log_softmax(logits: np.ndarray) -> np.ndarray:
    return logits - np.log(np.exp(logits).sum(1, keepdims=True))


def test_stage_2_minimises_the_papers_equation() -> None:
    draws = np.random.default_rng(0)
    target, deep, teacher = draws.normal(size=(3, 6, 4))
    y = draws.integers(4, size=6)
    w_t, w_dist, temperature = 0.7, 1.3, 2.5
    task = -log_softmax(target + deep)[np.arange(6), y].mean()
    soft = np.exp(log_softmax(teacher / temperature))
    distillation = -(soft * log_softmax(target / temperature)).sum(1).mean()
    expected = w_t * task + w_dist * temperature**2 * distillation
    tensors = [torch.from_numpy(a) for a in (target, deep, soft)]
    found = stage2_loss(*tensors, torch.from_numpy(y), temperature, w_t, w_dist)
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_the_square_of_the_temperature_keeps_the_gradient_of_distillation_in_scale() -> None:
    """For high T the gradient tends to (z_student - z_teacher) / C of centred logits (Hinton et al., 2015)."""
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 1, 5, generator=generator, dtype=torch.float64)
    student, teacher = student - student.mean(), teacher - teacher.mean()
    temperature = 1e4
    student.requires_grad_()
    soft = (teacher / temperature).softmax(1)
    stage2_loss(student, torch.zeros(1, 5), soft, torch.tensor([0]), temperature, 0.0, 1.0).backward()
    torch.testing.assert_close(student.grad, (student.detach() - teacher) / 5, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("task_weight", "distillation_weight"), [(1.0, 0.0), (0.0, 1.0)])
def test_a_term_of_weight_zero_has_no_gradient(task_weight: float, distillation_weight: float) -> None:
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    other = torch.randn(3, 4, generator=torch.Generator().manual_seed(1), requires_grad=True)
    soft = torch.full((3, 4), 0.25)
    stage2_loss(logits, other, soft, torch.tensor([0, 1, 2]), 2.0, task_weight, distillation_weight).backward()
    assert logits.grad is not None
    assert (other.grad is not None) == (task_weight > 0), "only the task term sees the deep branch"


def test_experts_multiply_and_the_deep_ones_logits_can_be_added_afterwards() -> None:
    x = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    experts = Experts(nn.Linear(6, 3), nn.Linear(6, 3), nn.Linear(3, 4)).double()
    x = x.double()
    together = experts(x).softmax(1)
    alone = [(experts.head(branch(x)) - experts.head.bias).softmax(1) for branch in (experts.deep, experts.shallow)]
    product = alone[0] * alone[1] * experts.head.bias.softmax(0)
    torch.testing.assert_close(together, product / product.sum(1, keepdim=True))
    added = experts.head(experts.shallow(x)) + nn.functional.linear(experts.deep(x), experts.head.weight)
    torch.testing.assert_close(experts(x), added)


@pytest.mark.parametrize(
    ("backbone", "branches", "rates", "decays", "batch", "epochs", "distillation"),
    [
        (MLP, "auto", (1e-3, 1e-3), (1e-3, 0), 64, (100, 100), 1),
        (RESNET, "auto", (1e-3, 1e-4), (1e-3, 0), 256, (100, 200), 1),
        (RESNET, "bffhq", (1e-3, 1e-4), (0, 0), 64, (10, 100), 0),
    ],
)
def test_settings_are_those_of_the_papers_table(
    backbone: Backbone,
    branches: str,
    rates: tuple[float, float],
    decays: tuple[float, float],
    batch: int,
    epochs: tuple[int, int],
    distillation: float,
) -> None:
    chosen = plan(problem(backbone), DenetdmParams(branches=branches))
    stages = (chosen.stage1, chosen.stage2)
    assert {stage.optimizer for stage in stages} == {"adam"}
    assert tuple(stage.learning_rate for stage in stages) == rates
    assert tuple(stage.weight_decay for stage in stages) == decays
    assert tuple(stage.batch_size for stage in stages) == (batch, batch)
    assert tuple(stage.epochs for stage in stages) == epochs
    assert {stage.augment for stage in stages} == {"none" if backbone is MLP else "crop_flip"}
    assert chosen.distillation_weight == distillation


def test_given_parameters_replace_those_of_the_table_and_epochs_follow_the_protocol() -> None:
    params = DenetdmParams(
        batch_size=32, stage1_epochs=40, stage1_learning_rate=0.1, stage2_weight_decay=0.2, distillation_weight=0.5
    )
    chosen = plan(problem(MLP, PROTOCOLS["short"]), params)
    assert (chosen.stage1.epochs, chosen.stage2.epochs) == (10, 25)
    assert (chosen.stage1.batch_size, chosen.stage2.batch_size) == (32, 32)
    assert (chosen.stage1.learning_rate, chosen.stage2.learning_rate) == (0.1, 1e-3)
    assert (chosen.stage1.weight_decay, chosen.stage2.weight_decay) == (1e-3, 0.2)
    assert chosen.distillation_weight == 0.5


@pytest.mark.parametrize(
    ("backbone", "branches", "depths", "layers", "width"),
    [
        (MLP, "auto", {}, (3, 5, 5), 100),
        (MLP, "auto", {"shallow_layers": 4, "deep_layers": 7}, (4, 7, 7), 100),
        (RESNET, "auto", {}, (4, 20, 22), 64),
        (CONVNET, "auto", {}, (4, 20, 6), 64),
        (RESNET, "bffhq", {}, (5, 21, 21), 512),
    ],
)
def test_branches_have_the_papers_depth_and_features_of_one_width(
    backbone: Backbone, branches: str, depths: dict[str, int], layers: tuple[int, int, int], width: int
) -> None:
    """Layers with weights, the head counted; 1x1 convolutions of shortcuts are counted too (3 in ResNet-18)."""
    chosen = plan(problem(backbone), DenetdmParams(branches=branches, **depths))
    inputs = Inputs((3, 64, 64)) if branches == "bffhq" else Inputs((3, 32, 32))
    networks = [build_network(b, inputs, 10, "test") for b in (chosen.shallow, chosen.deep, chosen.target)]
    assert tuple(sum(isinstance(m, nn.Conv2d | nn.Linear) for m in n.modules()) for n in networks) == layers
    assert [network.feature_dim for network in networks] == [width] * 3
    for network in networks:
        assert network.eval()(torch.rand(2, *inputs.shape)).shape == (2, 10)


def test_the_shallow_cifar_branch_of_the_paper_has_one_pixel_left_and_small_images_some() -> None:
    sizes = {}
    for size in (32, 28, 8):
        network = shallow_cifar(Inputs((3, size, size)), 10)
        network.encoder.relu3.register_forward_hook(lambda *args, size=size: sizes.update({size: args[2].shape[2:]}))
        network(torch.rand(2, 3, size, size))
    assert sizes == {32: (1, 1), 28: (7, 7), 8: (2, 2)}


def experts_on(run: Run, params: DenetdmParams) -> tuple[Experts, Network, Recipe]:
    chosen = plan(run.problem, params)
    shallow, deep = run.network(chosen.shallow, role="shallow branch"), run.network(chosen.deep, role="deep branch")
    return Experts(shallow.encoder, deep.encoder, shallow.classifier), run.network(chosen.target), chosen.stage2


@pytest.mark.parametrize("backbone", [MLP, CONVNET])
def test_stage_2_leaves_the_branches_as_they_are(toy_run: ToyRun, backbone: Backbone) -> None:
    run = toy_run(NONE, backbone=backbone, protocol=BRIEF, samples=128)
    params = DenetdmParams(stage2_epochs=30)
    experts, target, recipe = experts_on(run, params)
    before = copy.deepcopy(experts.state_dict())
    start = copy.deepcopy(target.state_dict())
    train_target(run, target, experts, recipe, params, 1.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in experts.state_dict().items())
    assert all(parameter.grad is None for parameter in experts.parameters())
    assert not torch.equal(target.classifier.weight, start["classifier.weight"])


def test_what_the_branches_say_is_the_same_from_the_cache_and_for_each_batch(toy_run: ToyRun) -> None:
    run = toy_run(NONE, samples=150)
    experts, _, _ = experts_on(run, DenetdmParams())
    batch = next(iter(run.train.shuffled(64, run.stream("test"))))
    cached = Teachers(run, experts, 2.0, fixed=True)(batch.x, batch)
    direct = Teachers(run, experts, 2.0, fixed=False)(batch.x, batch)
    for found, expected in zip(cached, direct, strict=True):
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(cached[1].sum(1), torch.ones(64))


def test_the_targets_head_starts_from_the_branches_head(toy_run: ToyRun) -> None:
    run = toy_run(NONE, protocol=BRIEF, samples=128)
    train(run, DenetdmParams(stage2_learning_rate=1e-30))
    offers = list(run.offers.values())
    shallow, last = run.offers["shallow branch"].load("cpu"), offers[-1].load("cpu")
    assert torch.equal(last.classifier.weight, shallow.classifier.weight)
    assert torch.equal(last.classifier.bias, shallow.classifier.bias)


def test_the_target_is_offered_and_the_branches_for_diagnosis_only(toy_run: ToyRun) -> None:
    run = toy_run(NONE, protocol=BRIEF, samples=128)
    train(run, DenetdmParams())
    assert {label: offer.selectable for label, offer in run.offers.items()} == {
        "deep branch": False,
        "shallow branch": False,
        "epoch 1": True,
        "epoch 2": True,
        "epoch 3": True,
    }
    head = {label: offer.load("cpu").classifier.weight for label, offer in run.offers.items()}
    assert torch.equal(head["deep branch"], head["shallow branch"]), "one head is shared"


def test_without_stage_2_the_shallow_branch_is_the_result(toy_run: ToyRun) -> None:
    run = toy_run(NONE, protocol=BRIEF, samples=128)
    train(run, DenetdmParams(task_weight=0.0, distillation_weight=0.0))
    assert {label: offer.selectable for label, offer in run.offers.items()} == {
        "deep branch": False,
        "shallow branch": True,
    }


def test_without_its_cross_entropy_stage_1_leaves_the_branches_untrained(toy_run: ToyRun) -> None:
    run = toy_run(NONE, protocol=BRIEF, samples=128)
    train(run, DenetdmParams(ce_weight=0.0))
    untrained = run.network(plan(run.problem, DenetdmParams()).deep, role="deep branch")
    offered = run.offers["deep branch"].load("cpu")
    assert torch.equal(offered.encoder.linear1.weight, untrained.encoder.linear1.weight)


def states(run: Run) -> dict[str, dict[str, torch.Tensor]]:
    return {label: offer.load("cpu").state_dict() for label, offer in run.offers.items()}


def assert_equal(found: dict[str, dict[str, torch.Tensor]], expected: dict[str, dict[str, torch.Tensor]]) -> None:
    assert list(found) == list(expected)
    for label, state in expected.items():
        for name, tensor in state.items():
            assert torch.equal(found[label][name], tensor), f"{label}: {name}"


def test_the_same_seed_gives_the_same_models_and_another_one_others(toy_run: ToyRun) -> None:
    found = []
    for folder, seed in (("first", 0), ("second", 0), ("other", 1)):
        run = toy_run(NONE, folder=folder, seed=seed, protocol=BRIEF, samples=128)
        train(run, DenetdmParams())
        found.append(states(run))
    assert_equal(found[1], found[0])
    last = "epoch 3"
    assert not torch.equal(found[2][last]["classifier.weight"], found[0][last]["classifier.weight"])


@pytest.mark.parametrize(
    ("backbone", "stop_after"), [(MLP, 1), (MLP, 3), (MLP, 4), (MLP, 6), (CONVNET, 2), (CONVNET, 5)]
)
def test_an_interrupted_run_ends_as_one_that_ran_through(toy_run: ToyRun, backbone: Backbone, stop_after: int) -> None:
    """Three epochs each: stopped in either stage and after the last epoch of either, augmented or not."""
    params = DenetdmParams(stage1_epochs=100, stage2_epochs=100)
    options = {"backbone": backbone, "protocol": BRIEF, "samples": 96}
    through = toy_run(NONE, folder="through", **options)
    train(through, params)
    asked = iter(range(1, 100))
    with pytest.raises(Interrupted):
        train(toy_run(NONE, folder="cell", should_stop=lambda: next(asked) == stop_after, **options), params)
    resumed = toy_run(NONE, folder="cell", **options)
    train(resumed, params)
    assert_equal(states(resumed), states(through))


class Stub:
    """As much of a task as applicability is decided on."""

    name = "stub"
    biases = ()

    def __init__(self, backbone: Backbone, shape: tuple[int, ...] = (3, 32, 32)) -> None:
        self._backbone, self._shape = backbone, shape

    def backbone(self) -> Backbone:
        return self._backbone

    def inputs(self) -> Inputs:
        return Inputs(self._shape)


@pytest.mark.parametrize(
    ("params", "task", "reason"),
    [
        ({}, Stub(MLP), None),
        ({}, Stub(RESNET), None),
        ({"deep_layers": 4}, Stub(MLP), None),
        ({"branches": "bffhq"}, Stub(RESNET), None),
        ({}, Stub(BERT, (128,)), None),
        ({"shallow_layers": 2, "deep_layers": 4}, Stub(BERT, (128,)), None),
        ({}, Stub(Backbone("other:lstm"), (128,)), "branches 'cifar' are networks for images"),
        ({"branches": "mlp"}, Stub(BERT, (128,)), "branches 'mlp' are networks for images"),
        ({"branches": "bert"}, Stub(RESNET), "made of the task's BERT"),
        ({"deep_layers": 4}, Stub(RESNET), "for MLPs and BERT"),
        ({"deep_layers": 1}, Stub(MLP), "at least 2 layers"),
        ({"branches": "bffhq"}, Stub(CONVNET), "end with a ResNet-18"),
        ({"branches": "cifar"}, Stub(MLP), "end with a convolutional network"),
    ],
)
def test_it_says_where_it_cannot_run(params: dict[str, object], task: Stub, reason: str | None) -> None:
    found = Denetdm(DenetdmParams(**params)).not_applicable(task)
    assert found is None if reason is None else reason in found


def test_it_needs_no_bias_labels_and_its_declaration_no_torch() -> None:
    assert str(Denetdm.supervision) == "none"
    code = "import sys, methods.denetdm; assert not {'torch', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
