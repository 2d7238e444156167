from nnmtl.nnunet.trainer import nnMTLTrainer as nnMTLTrainer
