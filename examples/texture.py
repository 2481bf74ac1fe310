"""A texture from one picture: images of any size, and tiles without a seam."""

from PIL import Image
from skimage import data  # comes with the extra `restore`

import tigon

Image.fromarray(data.brick()[::4, ::4]).save("brick.png")
crops = tigon.load_crops("brick.png", 16, channels=1)
trainer = tigon.TextureRecipe(channels=1, iterations=30).trainer(crops)
trainer.fit()

model = trainer.learner.model.at_size((32, 48), periodic=True)
tile = model.sample(1, tigon.make_rng(0))  # (1, 1, 32, 48), learned from crops of 16 x 16
Image.fromarray(tigon.to_uint8(tile.tile(2, 2))[0, ..., 0]).save("tiled.png")
across = (tile[..., 0] - tile[..., -1]).abs().mean()
within = tile.diff(dim=3).abs().mean()
print(f"differences across the border: {across / within:.2f} of those within")
