"""Probes of networks whose features are known, against scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from benchmark.diagnostics.decoding import decodability, depth, information
from benchmark.diagnostics.subject import InapplicableError
from benchmark.network import build_network


def test_what_z_shows_is_decodable_and_nothing_else(subject_of: Any, reader: Any) -> None:
    found = decodability(subject_of(reader(0, (0, 2)), reader(1, (1,))))
    assert found["after"]["target"] == found["after"]["right"] == 1.0
    assert found["before"]["left"] == 1.0
    for model, hidden in [("after", "left"), ("before", "target"), ("before", "right")]:
        assert found[model][hidden] < found["chance"][hidden] + 0.12


def test_chance_is_the_share_of_the_most_frequent_value(subject_of: Any, reader: Any) -> None:
    subject = subject_of(reader(0, (0,)))
    b = subject.task.split("test", subject.setting).b
    assert decodability(subject)["chance"]["left"] == np.bincount(b[:, 0]).max() / len(b)


def test_a_random_network_is_decoded_as_scikit_learn_decodes_it_at_every_depth(subject_of: Any) -> None:
    task = subject_of(None).task
    network = build_network(task.backbone(), task.inputs(), 3, "seed").eval()
    subject = subject_of(network)
    found = depth(subject)["after"]
    assert [entry["site"] for entry in found] == ["encoder.relu1", "encoder.relu2", "z"]
    x = {name: torch.tensor(task.split(name, subject.setting).x) / 100.0 for name in ("val_unbiased", "test")}
    labels = {name: task.split(name, subject.setting).b[:, 0] for name in x}
    for entry, end in zip(found, (3, 5, 5), strict=True):  # flatten, linear1, relu1, linear2, relu2
        z = {name: network.encoder[:end](values).detach().numpy() for name, values in x.items()}
        scaler = StandardScaler().fit(z["val_unbiased"])
        reference = LogisticRegression(max_iter=5000).fit(scaler.transform(z["val_unbiased"]), labels["val_unbiased"])
        expected = reference.score(scaler.transform(z["test"]), labels["test"])
        assert abs(entry["left"] - expected) <= 0.01
    assert decodability(subject)["after"]["left"] == found[-1]["left"]


def test_information_is_that_of_the_probes_probabilities(subject_of: Any) -> None:
    task = subject_of(None).task
    network = build_network(task.backbone(), task.inputs(), 3, "seed").eval()
    subject = subject_of(network)
    found = information(subject)["after"]
    with torch.no_grad():
        z = {
            name: network.encoder(torch.tensor(task.split(name, subject.setting).x) / 100.0).numpy()
            for name in ("val_unbiased", "test")
        }
    scaler = StandardScaler().fit(z["val_unbiased"])
    for column, name in enumerate(("left", "right")):
        fitted, scored = (task.split(split, subject.setting).b[:, column] for split in ("val_unbiased", "test"))
        probe = LogisticRegression(max_iter=5000, tol=1e-8).fit(scaler.transform(z["val_unbiased"]), fitted)
        q = probe.predict_proba(scaler.transform(z["test"])).astype(np.float64)
        joint = np.stack([q[scored == value].sum(0) for value in range(3)]) / len(q)
        expected = (joint * np.log(joint / np.outer(joint.sum(1), joint.sum(0)))).sum() / np.log(3)
        assert found[name] == pytest.approx(expected, abs=0.01)
        assert 0 < found[name] < 1


def test_a_model_without_an_encoder_is_not_probed(subject_of: Any) -> None:
    with pytest.raises(InapplicableError, match="Identity, is no"):
        decodability(subject_of(torch.nn.Identity()))
