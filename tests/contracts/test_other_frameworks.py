"""Loops and exporters of others take analog networks as they are: Lightning, Transformers, torch.export, ONNX.

The packages are those of the extra `frameworks`; without them the tests are skipped.
"""

import copy

import pytest
import torch
from torch import nn

from crossbar import AnalogLinear, age_chip, convert_to_analog, convert_to_digital, program_chip
from crossbar.aihwkit.adapter import AnalogSGD, InferenceRPUConfig, SingleRPUConfig

pytestmark = [  # of the packages themselves
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("FutureWarning", "DeprecationWarning", "UserWarning")
]
X = torch.rand(12, 6, generator=torch.Generator().manual_seed(0)) - 0.5
TARGET = torch.rand(12, 2, generator=torch.Generator().manual_seed(1))


def perfect(kind=InferenceRPUConfig):
    config = kind()
    config.forward.is_perfect = True
    return config


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))


OPTIMIZERS = {
    "hardware-aware": (InferenceRPUConfig, lambda model: torch.optim.Adam(model.parameters(), lr=0.01)),
    "in situ": (SingleRPUConfig, lambda model: AnalogSGD(model.parameters(), lr=0.1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_lightning_trains_as_a_loop_of_ones_own(name, tmp_path):
    lightning = pytest.importorskip("lightning")
    kind, optimizer_of = OPTIMIZERS[name]
    analog = convert_to_analog(network(), perfect(kind))
    own = copy.deepcopy(analog)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = analog

        def training_step(self, batch, _):
            return nn.functional.mse_loss(self.model(batch[0]), batch[1])

        def configure_optimizers(self):
            return optimizer_of(self.model)

    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, TARGET), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(Module(), batches)
    optimizer = optimizer_of(own.train())
    for _ in range(2):
        for x, target in batches:
            optimizer.zero_grad()
            nn.functional.mse_loss(own(x), target).backward()
            optimizer.step()
    for index in (0, 2):
        assert torch.equal(analog[index].get_weights()[0], own[index].get_weights()[0])
        assert not torch.equal(analog[index].get_weights()[0], network()[index].weight)


@pytest.mark.slow
def test_a_tiny_bert_is_converted_trained_by_the_trainer_of_transformers_and_aged(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    config = transformers.BertConfig(
        vocab_size=30, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=12, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=2,
    )  # fmt: skip
    torch.manual_seed(0)
    digital = transformers.BertForSequenceClassification(config).eval()
    tokens = torch.randint(0, 30, (8, 9))
    analog = convert_to_analog(digital, perfect())
    dense = [name for name, module in digital.named_modules() if type(module) is nn.Linear]
    assert len(dense) == 8  # queries, keys, values, outputs, two of the layer, the pooler, the classes
    assert all(isinstance(analog.get_submodule(name), AnalogLinear) for name in dense)
    # eight products of up to 24 numbers, and their normalisation, in float32
    assert torch.allclose(analog.eval()(tokens).logits, digital(tokens).logits, atol=1e-5)

    data = [{"input_ids": row, "labels": int(row[0] > 14)} for row in tokens]
    settings = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=12, per_device_train_batch_size=8, learning_rate=3e-3, use_cpu=True,
        report_to=[], save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    labels = torch.tensor([row["labels"] for row in data])
    before = analog(tokens, labels=labels).loss
    transformers.Trainer(model=analog, args=settings, train_dataset=data).train()
    assert analog.eval()(tokens, labels=labels).loss < before
    trained = analog(tokens).logits
    program_chip(analog, seed=0)
    age_chip(analog, "1y")
    aged = analog(tokens).logits
    assert torch.isfinite(aged).all()
    assert not torch.equal(aged, trained)


def test_the_digital_twin_is_exported_by_torch():
    twin = convert_to_digital(convert_to_analog(network(), perfect())).eval()
    exported = torch.export.export(twin, (X,)).module()
    assert torch.allclose(exported(X), twin(X), rtol=0.0, atol=1e-6)


@pytest.mark.slow
def test_the_digital_twin_is_written_as_onnx(tmp_path):
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxscript")
    reference = pytest.importorskip("onnx.reference")
    twin = convert_to_digital(convert_to_analog(network(), perfect())).eval()
    torch.onnx.export(twin, (X,), str(tmp_path / "twin.onnx"), dynamo=True, verbose=False)
    model = onnx.load(str(tmp_path / "twin.onnx"))
    onnx.checker.check_model(model)
    (name,) = [value.name for value in model.graph.input]
    (y,) = reference.ReferenceEvaluator(model).run(None, {name: X.numpy()})
    assert torch.allclose(torch.from_numpy(y), twin(X), rtol=0.0, atol=1e-5)
