"""What happens inside a trained network, of any architecture: by hooks and torch.fx, and no list of layers' names.

Here numbers are taken; `figures/` draws them. All functions take pictures as the model is fed them, (B, C, H, W)
standardized, and leave the model as it was (`undisturbed`).
"""
