"""The architectures: ViT and DeiT, CaiT, Swin, and the networks of other libraries."""
