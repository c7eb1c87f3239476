"""A training loop of one's own: PyTorch alone, in one process, with azft's model, rows, checkpoints and events.

Killed and started again, it goes on from what it kept; on a CPU to the same weights.
"""

import torch

from azft.engine.collate import Padded
from azft.training import current_task

task = current_task()
torch.manual_seed(task.parameters.integer("seed"))
model, tokenizer = task.load_model(), task.load_tokenizer()
rows, pad = task.tokens("train"), Padded(tokenizer.pad_token_id)
size, epochs = task.parameters.integer("per_device_train_batch_size"), task.parameters.integer("num_train_epochs")
batches = [range(at, min(at + size, len(rows))) for at in range(0, len(rows), size)] * epochs
weights = [weight for weight in model.parameters() if weight.requires_grad]
optimizer = torch.optim.AdamW(weights, lr=task.parameters.number("learning_rate"))
done, state = task.kept()
if done:
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
for step, batch in enumerate(batches[done:], start=done + 1):
    task.stop_if_canceled()
    tensors = {name: tensor.to(model.device) for name, tensor in pad([rows[number] for number in batch]).items()}
    loss = model(**tensors).loss
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    task.report(step=step, total=len(batches), loss=loss.item())
    if step % 10 == 0:
        states = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "random": torch.get_rng_state()}
        task.keep(step, states)
task.save(model, tokenizer)
