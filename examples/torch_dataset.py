"""A torch.utils.data.Dataset: pictures that are made on demand."""

import torch
from torch import Tensor
from torch.utils.data import Dataset

import tigon


class Stripes(Dataset):
    """A thousand pictures (1, 12, 16) in [-1, 1], with the width of their stripes."""

    def __len__(self) -> int:
        return 1000

    def __getitem__(self, k: int) -> dict[str, Tensor | int]:
        width = 1 + k % 4
        row = torch.where((torch.arange(16) // width) % 2 == 0, 0.8, -0.8)
        return {"image": row.expand(1, 12, 16), "condition": width}


recipe = tigon.GeneratorRecipe(latent_dim=2, iterations=30, batch_size=50)
trainer = recipe.trainer(tigon.as_data(Stripes()))
records = trainer.fit()
print(f"{len(trainer.data)} pictures, error {records[-1]['reconstruction_error']:.3f}")
