"""The bridge to nnU-Net: the only folder that imports nnunetv2 and the packages it stands on."""
